package contract

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// A target is held to its table both ways.
func TestJudge(t *testing.T) {
	t.Parallel()
	target := Target{Name: "server 1.0", Deviates: map[string]string{"K.b": "does something else"}}
	broken := errors.New("broken")
	tests := []struct {
		id      string
		outcome error
		says    string
	}{
		{"K.a", nil, ""},
		{"K.a", broken, "server 1.0: broken"},
		{"K.b", broken, ""},
		{"K.b", nil, "no longer deviates (does something else)"},
	}
	for _, tt := range tests {
		err := target.judge(Check{ID: tt.id}, tt.outcome)
		if (err != nil) != (tt.says != "") || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("judge(%s, %v) = %v, want %q", tt.id, tt.outcome, err, tt.says)
		}
	}
}

func TestChecksHaveIDsOfTheirOwn(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, c := range Checks() {
		if seen[c.ID] || !strings.HasPrefix(c.ID, "K.") && !strings.HasPrefix(c.ID, "D.") || c.Run == nil {
			t.Errorf("check %q is there twice, of no service or empty", c.ID)
		}
		if c.Says == "" || !strings.HasPrefix(c.Source, "https://") {
			t.Errorf("check %q says %q with source %q, want a sentence and a page", c.ID, c.Says, c.Source)
		}
		seen[c.ID] = true
	}
}

func TestTablesNameChecks(t *testing.T) {
	t.Parallel()
	target := Target{Deviates: map[string]string{"K.merge": "", "K.nothing": ""}, Never: map[string]string{"D.nothing": ""}}
	if got := target.unknown(); !slices.Equal(got, []string{"D.nothing", "K.nothing"}) {
		t.Errorf("unknown = %v", got)
	}
}

// What a server does at once cannot be told from answers that take too long.
func TestTooSlowToTell(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for _, tt := range []struct {
		ago     time.Duration
		err     error
		tooSlow bool
	}{
		{0, broken, false},
		{time.Hour, broken, true},
		{time.Hour, nil, false},
	} {
		if err := above(time.Now().Add(-tt.ago), 15, 5, tt.err); errors.Is(err, errTooSlow) != tt.tooSlow || !tt.tooSlow && err != tt.err {
			t.Errorf("%v ago, %v: %v", tt.ago, tt.err, err)
		}
	}
}
