package arrows

import "strings"

// A sample is a file, and what its one fault says; nothing if it has none.
type sample struct {
	rule, path, want, text string
}

const importing = "package p\nimport _ \"" + module + "/"

var samples = []sample{
	{"imports", "producer/a.go", "a.go:2: has no arrow to " + module + "/lease", importing + `lease"`},
	{"imports", "consumer/a.go", "has no arrow to " + module + "/lease/dynamo", importing + `lease/dynamo"`},
	{"imports", "kinesistest/a.go", "has no arrow", importing + `aggregation"`},
	{"imports", "kinesistest/internal/stream/a.go", "has no arrow", importing + `checkpoint"`},
	{"imports", "kinesistest/internal/stream/a.go", "", importing + `kinesistest/internal/api"`},
	{"imports", "kinesistest/internal/stream/a.go", "", importing + `internal/shardmap"`},
	{"imports", "producer/a.go", "", importing + `aggregation"`},
	{"imports", "producer/a_test.go", "", importing + `kinesistest"`},
	{"imports", "checkpoint/a.go", "depends on golang.org/x/sync/errgroup", "package p\nimport _ \"golang.org/x/sync/errgroup\""},
	{"imports", "lease/a.go", "", "package p\nimport _ \"golang.org/x/sync/errgroup\""},
	{"imports", "lease/a.go", "depends on", "package p\nimport _ \"github.com/aws/aws-sdk-go-v2/aws\""},
	{"imports", "producer/a.go", "depends on", "package p\nimport _ \"github.com/aws/aws-sdk-go-v2/config\""},
	{"imports", "producer/a.go", "", "package p\nimport _ \"github.com/aws/aws-sdk-go-v2/service/kinesis/types\""},
	{"imports", "producer/a.go", "outside a test, testing", "package p\nimport _ \"testing\""},
	{"imports", "producer/a.go", "outside a test", "package p\nimport _ \"github.com/google/go-cmp/cmp\""},
	{"imports", "producer/a.go", "outside a test", importing + `internal/sim"`},
	{"imports", "producer/a_test.go", "", "package p\nimport _ \"pgregory.net/rapid\""},
	{"imports", "lease/leasetest/a.go", "", "package p\nimport _ \"testing\""},
	{"imports", "internal/contract/a.go", "", "package p\nimport _ \"testing\""},
	{"imports", "newcomer/a.go", "in no table", "package p"},
	{"imports", "producer/a.go", "nested module", importing + `examples/x"`},
	{"imports", "producer/a_test.go", "nested module", importing + `bench"`},
	{"imports", "examples/put/a.go", "what users cannot", importing + `internal/pace"`},
	{"imports", "examples/put/a.go", "", importing + `examples/internal/lines"`},
	{"imports", "interop/a_test.go", "", importing + `internal/contract"`},
	{"imports", "producer/a.go", "root package", "package p\nimport _ \"" + module + "\""},

	{"file length", "producer/a.go", "a.go:601:", "package p\n" + strings.Repeat("\n", 600)},
	{"file length", "producer/a.go", "", "package p\n" + strings.Repeat("\n", 599)},
	{"file length", "producer/a_test.go", "a_test.go:1001:", "package p\n" + strings.Repeat("\n", 1000)},
	{"file length", "producer/a_test.go", "", "package p\n" + strings.Repeat("\n", 999)},

	{"function length", "producer/a.go", "f has 61 lines", "package p\nfunc f() {\n" + strings.Repeat("\n", 59) + "}\n"},
	{"function length", "producer/a.go", "", "package p\nfunc f() {\n" + strings.Repeat("\n", 58) + "}\n"},
	{"function length", "examples/put/a.go", "61 lines", "package p\nfunc f() {\n" + strings.Repeat("\n", 59) + "}\n"},
	{"function length", "producer/a.go", "", "package p\n\n// f does.\n//\n//arrows:long one case per operation\nfunc f() {\n" + strings.Repeat("\n", 59) + "}\n"},
	{"function length", "producer/a.go", "61 lines", "package p\n\n//arrows:long \nfunc f() {\n" + strings.Repeat("\n", 59) + "}\n"},
	{"function length", "producer/a_test.go", "", "package p\nfunc f() {\n" + strings.Repeat("\n", 59) + "}\n"},

	{"names", "producer/types.go", `"types" names nothing`, "package p"},
	{"names", "producer/util_test.go", `"util"`, "package p"},
	{"names", "producer/string_helpers.go", `"helpers"`, "package p"},
	{"names", "internal/common/a.go", `"common"`, "package common"},
	{"names", "producer/a.go", "package utils", "package utils"},
	{"names", "producer/datatypes.go", "", "package p"},

	{"documented", "producer/a.go", "F is exported", "package p\nfunc F() {}"},
	{"documented", "producer/a.go", "begins with something else", "package p\n\n// Does.\nfunc F() {}"},
	{"documented", "producer/a.go", "begin it with F", "package p\n\n// Feed does.\nfunc F() {}"},
	{"documented", "producer/a.go", "", "package p\n\n// F does.\nfunc F() {}\nfunc g() {}"},
	{"documented", "producer/a.go", "", "package p\n\n// An F is.\ntype F int\nfunc (F) String() string { return \"\" }"},
	{"documented", "producer/a.go", "G is exported", "package p\n\n// F is.\ntype F[T any] struct{}\nfunc (*F[T]) G() {}"},
	{"documented", "producer/a.go", "", "package p\ntype f int\nfunc (f) G() {}"},
	{"documented", "producer/a.go", "T is exported", "package p\ntype T struct{}"},
	{"documented", "producer/a.go", "C is exported", "package p\nconst C = 1"},
	{"documented", "producer/a.go", "", "package p\n\n// All of them.\nconst (\n\tC = 1\n\tD = 2\n)"},
	{"documented", "producer/a.go", "", "package p\nvar (\n\tA = 1 // one\n\t// B is.\n\tB = 2\n)"},
	{"documented", "producer/a.go", "EachOptions.N is an option", "package p\n\n// EachOptions are.\ntype EachOptions struct {\n\tN int\n}"},
	{"documented", "producer/a.go", "", "package p\n\n// Options are.\ntype Options struct {\n\tN int // how many\n\tm int\n}"},
	{"documented", "internal/pace/a.go", "", "package p\nfunc F() {}"},
	{"documented", "cmd/kinesis-local/a.go", "", "package main\nfunc F() {}"},
	{"documented", "kinesistest/internal/api/a.go", "", "package p\nfunc F() {}"},

	{"comments", "producer/a.go", "leaves work behind", "package p\n\n// TODO: later\nvar x int"},
	{"comments", "producer/a.go", "licence banner", "// Copyright 2026 Somebody\n\npackage p"},
	{"comments", "producer/a.go", "", "// Package p has a todo list.\npackage p"},

	{"goroutines", "producer/a.go", "a.go:3: a go statement", "package p\nfunc f() {\n\tgo f()\n}"},
	{"goroutines", "cmd/kinesis-local/a.go", "a go statement", "package main\nfunc f() {\n\tgo f()\n}"},
	{"goroutines", "producer/a_test.go", "", "package p\nfunc f() {\n\tgo f()\n}"},

	{"calls", "producer/a.go", "time.Sleep ends for no context", "package p\nimport \"time\"\nfunc f() { time.Sleep(1) }"},
	{"calls", "examples/put/main.go", "time.Sleep", "package main\nimport \"time\"\nfunc f() { time.Sleep(1) }"},
	{"calls", "producer/a.go", "time.Sleep", "package p\nimport clock \"time\"\nvar f = clock.Sleep"},
	{"calls", "producer/a.go", "", "package p\nimport \"time\"\ntype s struct{}\nfunc (s) Sleep(time.Duration) {}\nfunc f(time s) { time.Sleep(1) }"},
	{"calls", "producer/a_test.go", "", "package p\nimport \"time\"\nfunc f() { time.Sleep(1) }"},
	{"calls", "internal/contract/a.go", "", "package p\nimport \"time\"\nfunc f() { time.Sleep(1) }"},
	{"calls", "lease/a.go", "context.Background cuts", "package p\nimport \"context\"\nvar ctx = context.Background()"},
	{"calls", "lease/a.go", "context.TODO cuts", "package p\nimport \"context\"\nvar ctx = context.TODO()"},
	{"calls", "cmd/kinesis-local/main.go", "", "package main\nimport \"context\"\nvar ctx = context.Background()"},
	{"calls", "lease/a.go", "fmt.Println writes", "package p\nimport \"fmt\"\nfunc f() { fmt.Println() }"},
	{"calls", "lease/a.go", "", "package p\nimport \"fmt\"\nvar s = fmt.Sprint()"},
	{"calls", "lease/a.go", "imports log", "package p\nimport _ \"log\""},
	{"calls", "lease/a.go", "", "package p\nimport _ \"log/slog\""},
	{"calls", "lease/a.go", "imports math/rand/v2", "package p\nimport _ \"math/rand/v2\""},
	{"calls", "lease/a.go", "os.Exit", "package p\nimport \"os\"\nfunc f() { os.Exit(1) }"},
	{"calls", "lease/a.go", "println is for debugging", "package p\nfunc f() { println() }"},

	{"skips", "lease/a_test.go", "Skip: a test that does not run", "package p\nimport \"testing\"\nfunc f(t *testing.T) { t.Skip() }"},
	{"skips", "lease/leasetest/a_test.go", "SkipNow", "package p\nimport \"testing\"\nfunc f(tb testing.TB) { tb.SkipNow() }"},
	{"skips", "lease/a_test.go", "Short", "package p\nimport \"testing\"\nvar s = testing.Short()"},
	{"skips", "lease/a_test.go", "", "package p\nimport \"pgregory.net/rapid\"\nfunc f(t *rapid.T) { t.Skip() }"},

	{"package variables", "lease/a.go", "a channel", "package p\nvar c = make(chan int)"},
	{"package variables", "lease/a.go", "a channel", "package p\nvar c map[string]chan int"},
	{"package variables", "lease/a.go", "a timer", "package p\nimport \"time\"\nvar c = time.NewTimer(1)"},
	{"package variables", "lease/a.go", "a timer", "package p\nimport \"time\"\nvar c *time.Ticker"},
	{"package variables", "lease/a.go", "a sync.Pool", "package p\nimport \"sync\"\nvar c = sync.Pool{}"},
	{"package variables", "lease/a.go", "a sync.WaitGroup", "package p\nimport \"sync\"\nvar c struct{ wg sync.WaitGroup }"},
	{"package variables", "lease/a.go", "", "package p\nimport \"sync\"\ntype s struct{ p sync.Pool }\nvar f = func() { var p sync.Pool; _ = p }"},
	{"package variables", "lease/a.go", "", "package p\nvar f func(chan int)"},
}
