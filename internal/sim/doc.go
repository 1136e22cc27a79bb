// Package sim runs programs against an embedded server on which calls go wrong
// by a schedule made from a seed, and compares what the programs were told with
// what is true. It is for tests alone.
//
//	sim.Run(t, 40, func(t *testing.T, seed sim.Seed) {
//		w := sim.New(t, seed)
//		w.CreateStream("clicks", 4)
//		client := kinesis.NewFromConfig(w.Config("p1"))
//		… start what is tested; it notes what it is told in a sim.Ledger …
//		w.Play(w.Draw(sim.PutFaults("clicks"), time.Minute))
//		w.Check(ledger.Check(w.Truth("clicks")))
//	})
//
// A [World] is made inside a [testing/synctest] bubble: a server, a client for
// each program under a name of its own, a trace, and the violations found. A
// [Kind] is a way to go wrong. [World.Draw] makes a schedule of [Fault] values
// from the seed, each seed with some of the kinds and one in ten without any,
// and [World.Play] plays it on the goroutine of the test. A checker returns
// each [Violation] of a named invariant: [Ledger.Check] has those of a producer;
// a fleet of consumers brings its own and reports to the same World.
//
// # Chance
//
// There is no stream of random numbers. Whatever depends on chance is a hash of
// the seed, of a name for the place and of what is decided upon, so that one
// fault less changes nothing about the others. A call's luck hangs on its
// client, operation, body and instant.
//
// # What repeats
//
// The same seed gives the same schedule, always. It gives the same trace,
// results and verdict as far as what is tested takes its decisions by time and
// hash. The world does its part: calls take a hashed number of nanoseconds, so
// that no two end at once, the SDK waits without jitter of its own, and Play
// acts when everybody else is blocked. A bubble does not order goroutines that
// are ready at one instant, nor the choice of a select, and what is left to these
// differs: of 60 seeds of the producer 55 had the same trace, to the nanosecond,
// at GOMAXPROCS 1 and 2.
package sim
