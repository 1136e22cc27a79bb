// Package arrows holds the rules of this repository that a compiler does not
// know, as tests: which package may import which, how long a file and a function
// may be, what must not be called, what must be documented, and that documents show
// code that is tested and name what is there. It reads the tree and nothing else, so
// it needs no tool but Go.
//
// Every rule is itself tested with a small file that breaks it. A fault names the
// file and line, the rule, and what to do about it. A new package gets an entry in
// the table of imports_test.go, in the commit that adds it.
package arrows
