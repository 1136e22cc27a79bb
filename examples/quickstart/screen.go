package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// A screen prints lines and, on a terminal, keeps a live one below them.
type screen struct {
	mu       sync.Mutex
	w        io.Writer
	terminal bool
	line     string // the live line as shown, empty if there is none
}

func newScreen(w io.Writer) *screen {
	s := &screen{w: w}
	if f, ok := w.(*os.File); ok {
		st, err := f.Stat()
		s.terminal = err == nil && st.Mode()&os.ModeCharDevice != 0
	}
	return s
}

const (
	clearLine = "\r\x1b[K"

	// A live line longer than the terminal is wide is cut by it: wrapped, it could
	// not be cleared.
	wrapOff, wrapOn = "\x1b[?7l", "\x1b[?7h"
)

// say prints a line above the live one.
func (s *screen) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.line != "" {
		fmt.Fprint(s.w, clearLine)
	}
	fmt.Fprintf(s.w, format+"\n", args...)
	fmt.Fprint(s.w, s.line)
}

// Write prints as it is, for tables. The live line must have ended.
func (s *screen) Write(b []byte) (int, error) { return s.w.Write(b) }

// live shows what status says five times a second until the returned function is
// called. Without a terminal it does nothing.
func (s *screen) live(status func() string) (stop func()) {
	if !s.terminal {
		return func() {}
	}
	quit := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-quit:
				s.show("")
				return
			case <-tick.C:
				s.show(status())
			}
		}
	})
	return func() { close(quit); wg.Wait() }
}

func (s *screen) show(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if line != "" {
		line = wrapOff + line + wrapOn
	}
	if s.line != "" || line != "" {
		fmt.Fprint(s.w, clearLine, line)
	}
	s.line = line
}
