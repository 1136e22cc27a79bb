// Package expr is DynamoDB's expression language: it reads condition, filter,
// key condition, projection and update expressions and evaluates them on
// items.
//
// Conditions and filters of both languages, expressions and the legacy
// Expected and QueryFilter members, become one [Condition]; updates of both
// become one [Update]. What the language has and this package lacks does not
// exist: text that is not understood is an error, never true.
//
// Errors carry AWS's own text and are ValidationExceptions to the caller of
// the service. AWS reports faults in phases (a reserved word anywhere comes
// before an undefined name anywhere), and so does this package: the parser
// collects the first fault of every phase and reports the earliest phase's.
package expr
