// Command deaggregate takes records apart that the Kinesis Producer Library, or
// package producer, packed together: one JSON line per Kinesis record in, one per
// user record out. What to watch: records that are no aggregates come out as
// they went in, so a mixed stream may go through whole.
//
//	echo '{"partitionKey":"a","data":"aGVsbG8="}' | go run ./examples/deaggregate
//	aws kinesis get-records --shard-iterator "$it" | jq -c '.Records[]' | go run ./examples/deaggregate
//
// In: {"partitionKey":"…","explicitHashKey":"…","data":"base64"}, from the file
// named by the argument or from standard input. Out: {"i":0,"sub":0,"key":"…",
// "hashKey":"…","data":"base64"}, where i is the line counted from 0, sub the user
// record's place in it, and hashKey is there if the record has an explicit one; or
// {"i":0,"error":"…"} for a line that is no record. The exit status is 1 if there
// was such a line, and 2 for a wrong argument.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/kinesis-go/kinesis/examples/internal/lines"
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// maxLine holds the largest record that Kinesis takes, in base64, and its keys.
const maxLine = lines.MaxBytes/3*4 + 1<<20

// errRefused says that lines were answered with an error.
var errRefused = errors.New("some lines were no records")

// run returns the exit status.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	fs := flag.NewFlagSet("deaggregate", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.Usage = func() { fmt.Fprintln(stderr, "usage: deaggregate [FILE]") }
	switch err := fs.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case fs.NArg() > 1:
		fmt.Fprintf(stderr, "deaggregate: unexpected argument %q: one FILE at most\n", fs.Arg(1))
		return 2
	}
	if name := fs.Arg(0); name != "" && name != "-" {
		f, err := os.Open(name)
		if err != nil {
			fmt.Fprintln(stderr, "deaggregate: FILE:", err)
			return 2
		}
		defer f.Close()
		stdin = f
	}
	if err := deaggregate(stdin, stdout); err != nil {
		fmt.Fprintln(stderr, "deaggregate:", err)
		return 1
	}
	return 0
}

// deaggregate copies in to out, record by record.
func deaggregate(in io.Reader, out io.Writer) error {
	w := bufio.NewWriter(out)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	r := lines.NewReader(in, maxLine)
	refused := false
	for i := int64(0); ; i++ {
		line, err := r.Next()
		if err == io.EOF {
			break
		}
		if long := (*lines.TooLongError)(nil); err != nil && !errors.As(err, &long) {
			return err
		}
		if err == nil {
			err = split(i, line, enc)
		}
		if err != nil {
			refused = true
			if err := enc.Encode(refusal{i, err.Error()}); err != nil {
				return err
			}
		}
		if err := w.Flush(); err != nil { // line by line, for whoever reads a pipe
			return err
		}
	}
	if refused {
		return errRefused
	}
	return nil
}
