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
// known. Capacity is counted in the time of time.Now: what a request uses is
// known when it is done, so the one that empties a bucket leaves a debt, and
// the next is refused. A single lock means that no transaction ever meets
// another: TransactionConflict and TransactionInProgress are for faults.
//
// Not there: streams, backups and their restoring, global tables, PartiQL,
// imports and exports, resource policies. Reads of a hot key of an index, and
// the growth of an on-demand table's capacity, are not limited.
package dynamo
