// Package dynamo is DynamoDB in memory: tables, items, indexes and the
// operations on them, as one function from a request's body to a response's.
//
// # Guarantees
//
// Every operation on items is linearizable: one lock is held from reading the
// row to storing it, so of any number of conditional writes that ask for one
// state of a row exactly one succeeds. The lock is never held across I/O.
// Items are immutable once stored; what a caller is handed never changes.
//
// A request member that is not understood, or not implemented, is a
// ValidationException that names it. Nothing is ignored that would change the
// meaning of a request.
//
// # Limits
//
// Answers follow AWS's documents, texts of errors included where they are
// known. Capacity is computed and reported but never runs out, an index is
// never behind its table, and no item expires.
package dynamo
