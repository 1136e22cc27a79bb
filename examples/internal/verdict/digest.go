package verdict

import (
	"bufio"
	"bytes"
	"container/heap"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
)

// Digests are SHA-256 sums over all that was put and all that was delivered: over
// the lines "key<TAB>data<NEWLINE>", one per record, sorted as bytes. As long as
// no key or data holds a newline that is what
//
//	LC_ALL=C sort lines | sha256sum
//
// prints. Of deliveries only the first of a record is in it, and no copy that a
// retry stored; so the two are equal if, and but for hash collisions only if,
// nothing was lost and nothing foreign was delivered.
type Digests struct {
	Put, Delivered [sha256.Size]byte
}

type digests struct {
	put, delivered sorter
}

// KeepDigests makes the verdict keep digests too. It must come before any record.
// What does not fit into 64 MiB, once for the records put and once for those
// delivered, is sorted into temporary files in dir, or in [os.TempDir] if dir is
// empty; they hold key and data of every record until [Verdict.Close].
func (v *Verdict) KeepDigests(dir string) {
	v.keepDigests(dir, 64<<20)
}

func (v *Verdict) keepDigests(dir string, maxBytes int) {
	v.digests = &digests{put: sorter{dir: dir, maxBytes: maxBytes}, delivered: sorter{dir: dir, maxBytes: maxBytes}}
}

// Digests returns the digests, once; they need [Verdict.KeepDigests]. It fails if
// a temporary file could not be written or read, then or earlier.
func (v *Verdict) Digests() (Digests, error) {
	if v.digests == nil {
		return Digests{}, errors.New("verdict: digests were not kept")
	}
	_, neverPut, copies := v.judge()
	put, errPut := v.digests.put.sum(v.without(neverPut))
	delivered, errDelivered := v.digests.delivered.sum(v.without(copies))
	if err := errors.Join(errPut, errDelivered, v.Close()); err != nil {
		return Digests{}, fmt.Errorf("verdict: digest: %w", err)
	}
	return Digests{put, delivered}, nil
}

// Close removes the temporary files. It may be called more than once.
func (v *Verdict) Close() error {
	if v.digests == nil {
		return nil
	}
	return errors.Join(v.digests.put.close(), v.digests.delivered.close())
}

// without returns a filter that drops so many lines of each content. Which ones
// does not matter: lines of one content are the same bytes.
func (v *Verdict) without(drop map[uint64]int64) func(line) bool {
	return func(l line) bool {
		if len(drop) == 0 {
			return true
		}
		_, content := v.hash(string(l.text[:l.keyLen]), l.text[l.keyLen+1:])
		if drop[content] == 0 {
			return true
		}
		drop[content]--
		return false
	}
}

// A line is one record: key, tab, data.
type line struct {
	text   []byte
	keyLen int
}

// A sorter sorts more lines than fit into memory: runs of maxBytes are sorted
// and spilled to files, and merged at the end.
type sorter struct {
	dir      string
	maxBytes int

	mu    sync.Mutex
	text  []byte // the lines of the current run, one behind the other
	index []extent
	runs  []*os.File
	err   error // the first failure; nothing is kept after it
}

// An extent is a line in sorter.text.
type extent struct {
	start, end, keyLen uint32
}

// add keeps a record. When a run is full it is sorted and written with the lock
// held: whoever adds has to wait, or memory would not be bounded.
func (s *sorter) add(key string, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return
	}
	const extentBytes = 12
	size := len(key) + 1 + len(data)
	if held := len(s.text) + len(s.index)*extentBytes; held > 0 && held+size > s.maxBytes {
		if s.err = s.spill(); s.err != nil {
			s.text, s.index = nil, nil
			return
		}
	}
	start := len(s.text)
	s.text = append(append(append(s.text, key...), '\t'), data...)
	s.index = append(s.index, extent{uint32(start), uint32(len(s.text)), uint32(len(key))})
}

func (s *sorter) sort() {
	slices.SortFunc(s.index, func(a, b extent) int {
		return bytes.Compare(s.text[a.start:a.end], s.text[b.start:b.end])
	})
}

// spill writes the current run to a file of its own and empties it.
func (s *sorter) spill() error {
	s.sort()
	f, err := os.CreateTemp(s.dir, "verdict-*")
	if err != nil {
		return err
	}
	s.runs = append(s.runs, f)
	// Where open files may be removed nothing is left behind even by a kill.
	_ = os.Remove(f.Name())
	w := bufio.NewWriterSize(f, 256<<10)
	var head [2 * binary.MaxVarintLen64]byte
	for _, e := range s.index {
		n := binary.PutUvarint(head[:], uint64(e.keyLen))
		n += binary.PutUvarint(head[n:], uint64(e.end-e.start))
		w.Write(head[:n])
		w.Write(s.text[e.start:e.end])
	}
	s.text, s.index = s.text[:0], s.index[:0]
	return w.Flush()
}

var newline = []byte{'\n'}

// sum merges the runs and digests the lines that keep accepts.
func (s *sorter) sum(keep func(line) bool) (sum [sha256.Size]byte, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return sum, s.err
	}
	s.sort()
	sources := []source{s.memory()}
	for _, f := range s.runs {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return sum, err
		}
		sources = append(sources, &run{r: bufio.NewReaderSize(f, 256<<10)})
	}
	hash := sha256.New()
	err = merge(sources, func(l line) {
		if keep(l) {
			hash.Write(l.text)
			hash.Write(newline)
		}
	})
	hash.Sum(sum[:0])
	return sum, err
}

func (s *sorter) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, f := range s.runs {
		errs = append(errs, f.Close())
		if err := os.Remove(f.Name()); err != nil && !os.IsNotExist(err) {
			errs = append(errs, err)
		}
	}
	s.runs, s.text, s.index = nil, nil, nil
	if s.err == nil {
		s.err = os.ErrClosed
	}
	return errors.Join(errs...)
}

// A source yields lines in order, and io.EOF behind the last.
type source interface {
	next() (line, error)
}

type memory struct {
	text  []byte
	index []extent
}

func (s *sorter) memory() *memory { return &memory{s.text, s.index} }

func (m *memory) next() (line, error) {
	if len(m.index) == 0 {
		return line{}, io.EOF
	}
	e := m.index[0]
	m.index = m.index[1:]
	return line{m.text[e.start:e.end], int(e.keyLen)}, nil
}

// A run is a spilled file. Its line is overwritten by the next.
type run struct {
	r   *bufio.Reader
	buf []byte
}

func (r *run) next() (line, error) {
	keyLen, err := binary.ReadUvarint(r.r)
	if err != nil {
		return line{}, err // io.EOF between two lines
	}
	size, err := binary.ReadUvarint(r.r)
	if err != nil {
		return line{}, noEOF(err)
	}
	r.buf = slices.Grow(r.buf[:0], int(size))[:size]
	if _, err := io.ReadFull(r.r, r.buf); err != nil {
		return line{}, noEOF(err)
	}
	return line{r.buf, int(keyLen)}, nil
}

func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// merge calls yield with every line of the sources, in order.
func merge(sources []source, yield func(line)) error {
	var h heads
	for _, s := range sources {
		l, err := s.next()
		if err == io.EOF {
			continue
		}
		if err != nil {
			return err
		}
		h = append(h, head{l, s})
	}
	heap.Init(&h)
	for len(h) > 0 {
		yield(h[0].line)
		switch l, err := h[0].source.next(); {
		case err == io.EOF:
			heap.Pop(&h)
		case err != nil:
			return err
		default:
			h[0].line = l
			heap.Fix(&h, 0)
		}
	}
	return nil
}

// heads are the foremost lines of all sources, the least on top.
type heads []head

type head struct {
	line   line
	source source
}

func (h heads) Len() int           { return len(h) }
func (h heads) Less(i, j int) bool { return bytes.Compare(h[i].line.text, h[j].line.text) < 0 }
func (h heads) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *heads) Push(x any)        { *h = append(*h, x.(head)) }
func (h *heads) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
