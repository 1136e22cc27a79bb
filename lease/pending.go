package lease

import (
	"context"
	"fmt"
	"slices"

	"github.com/kinesis-go/kinesis/checkpoint"
)

// MaxPendingState bounds the state that goes with [Held.Prepare]. A row of more
// than 1 KiB makes every renewal dearer.
const MaxPendingState = 64 << 10

// Pending returns the position announced by [Held.Prepare] and not stored since,
// by this tenure or one before it; nil if there is none.
func (h *Held) Pending() *Pending {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.row.Pending.clone()
}

// Prepare announces p, the first phase of a checkpoint in two: the row then holds
// p and state beside the position stored, and whoever holds the lease next finds
// them in [Held.Pending]. [Held.Checkpoint] is the second phase: it stores p, or
// any position not before the one stored, and clears what was announced. Another
// Prepare replaces it. Java workers read and write the same.
//
// State is the application's own, at most [MaxPendingState] bytes; it is copied.
// Prepare counts as a renewal. Announcing the position that is stored already
// does nothing. The errors are those of Checkpoint.
func (h *Held) Prepare(ctx context.Context, p checkpoint.Position, state []byte) error {
	if err := p.Validate(); err != nil {
		return fmt.Errorf("lease: prepare %s: %w", h.key, err)
	}
	if len(state) > MaxPendingState {
		return fmt.Errorf("lease: prepare %s: state of %d bytes, want at most %d", h.key, len(state), MaxPendingState)
	}
	pending := (&Pending{At: p, State: state}).clone()
	return h.write(ctx, resolveNow, func(seen Row) (Write, error) {
		switch c := p.Compare(seen.Checkpoint); {
		case seen.Finished():
			return Write{}, ErrFinished
		case c < 0:
			return Write{}, &BackwardsError{Key: h.key, Stored: seen.Checkpoint, Given: p}
		case c == 0, pending.equal(seen.Pending):
			return Write{}, errNoWrite
		}
		return Write{Op: Prepare, Seen: seen, Pending: pending}, nil
	})
}

func (p *Pending) clone() *Pending {
	if p == nil {
		return nil
	}
	return &Pending{At: p.At, State: slices.Clone(p.State)}
}
