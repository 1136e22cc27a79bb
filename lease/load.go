package lease

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// The metric of the worker rows that is used, by the KCL's name, and what is
// taken of it. The KCL sends the last ten means of thirty seconds; of a metric
// that it knows and this library does not, nothing is used.
const (
	metricCPU   = "C"
	cpuSamples  = 10
	cpuAlpha    = 0.5
	maxPercent  = 100
	cpuAtRest   = 90 * time.Second // three reports: the mean is of the present leases
	cpuMatters  = 10               // percent; below, what a KiB/s costs cannot be told
	priceBand   = 0.25             // prices within it of the fleet's are taken for equal
	priceBound  = 4.0              // no worker counts as more than that much slower or quicker
	idleRate    = 8.0              // KiB/s; a lease below it costs as much as an idle one
	rateSmooth  = time.Minute      // time constant by which rates are smoothed
	rateUnknown = time.Minute      // for which a lease without a rate may be a busy one
)

// cpuOf returns a worker's load as the KCL computes it from its row, and the
// load that it should not exceed. A metric out of range is none: a row may say
// anything, and its worker is still there.
func cpuOf(w *Worker) (percent, limit float64, known, failing bool) {
	values := w.Metrics[metricCPU]
	if len(values) == 0 || len(values) > 10*cpuSamples {
		return 0, maxPercent, false, false
	}
	for _, v := range values {
		if v == -1 { // could not be measured
			continue
		}
		if !(v >= 0 && v <= maxPercent) {
			return 0, maxPercent, false, false
		}
		if known {
			v = cpuAlpha*v + (1-cpuAlpha)*percent
		}
		percent, known = v, true
	}
	limit = maxPercent
	if l, ok := w.Limits[metricCPU]; ok && l >= 1 && l <= maxPercent {
		limit = l
	}
	return percent, limit, known, values[len(values)-1] == -1
}

// A load is what one worker carries while a plan is made.
type load struct {
	id     string
	leases int     // unfinished ones
	rate   float64 // KiB/s of those

	// price is what a KiB/s costs this worker, 1 being the fleet's mean.
	price float64

	over   bool // above its operating range, for long enough to be sure
	barred bool // gets nothing: near or above its range, or it cannot measure itself
}

// cost is what the plan evens out.
func (l *load) cost() float64 { return l.rate * l.price }

// observeRates smooths the throughput of a lease, which its owner measures over
// a few seconds.
func (v *rowView) observeRate(now time.Time, rate *float64) {
	if rate == nil || !(*rate >= 0 && *rate <= math.MaxInt32) {
		return
	}
	if !v.rated {
		v.rate, v.rated, v.ratedAt = *rate, true, now
		return
	}
	part := min(1, float64(now.Sub(v.ratedAt))/float64(rateSmooth))
	v.rate += (*rate - v.rate) * part
	v.ratedAt = now
}

// judgePrices measures what a KiB/s costs each worker whose leases have been the
// same for long enough that its load is that of these.
func (o *observer) judgePrices(now time.Time, rows []Row) {
	rates := make(map[string]float64)
	for i := range rows {
		if v := o.rows[rows[i].Key]; v.rated && v.rate >= idleRate {
			rates[rows[i].Reader()] += v.rate
		}
	}
	var cpu, rate float64
	var measured []string
	for id, w := range o.workers {
		if w.cpuKnown && rates[id] > 0 && now.Sub(w.moved) >= cpuAtRest {
			measured = append(measured, id)
		}
	}
	slices.Sort(measured) // sums of floats depend on the order
	for _, id := range measured {
		cpu += o.workers[id].cpu
		rate += rates[id]
	}
	if cpu < cpuMatters*float64(len(measured)) || len(measured) < 2 {
		return
	}
	for _, id := range measured {
		w := o.workers[id]
		p := min(priceBound, max(1/priceBound, w.cpu/rates[id]*rate/cpu))
		if w.price == 0 {
			w.price = p
		} else if w.changed.Equal(now) { // once a report
			w.price = (w.price + p) / 2
		}
	}
}

// priceOf returns what a KiB/s costs a worker. Differences within the band are
// none, and there is no step at its edge, so that noise there moves nothing.
func (w *workerView) priceOf() float64 {
	switch d := w.price - 1; {
	case w.price == 0:
		return 1
	case d > priceBand:
		return w.price - priceBand
	case 1/w.price-1 > priceBand:
		return 1 / (1/w.price - priceBand)
	}
	return 1
}

// loadsOf returns what the active workers are, carrying nothing yet, by id.
func (o *observer) loadsOf(now time.Time) []*load {
	var out []*load
	for _, id := range o.active(now) {
		w := o.workers[id]
		l := &load{id: id, price: w.priceOf(), barred: w.failing}
		if w.cpuKnown {
			l.over = w.cpu > w.limit && now.Sub(w.moved) >= cpuAtRest
			l.barred = l.barred || w.limit < maxPercent && w.cpu > w.limit*(1-priceBand/2) || w.cpu > w.limit
		}
		out = append(out, l)
	}
	return out
}

// A rated row is one with the throughput that a plan counts for it.
type ratedRow struct {
	*Row
	rate  float64
	known bool // rate was measured
	moved bool // by the plan in the making
}

// idle reports whether the lease is balanced by count.
func (r ratedRow) idle() bool { return r.rate < idleRate }

// rate returns rows with their throughput. One that has none yet is taken for an
// average one for a minute, as the KCL does, and for idle then.
func (o *observer) rate(now time.Time, rows []*Row) []ratedRow {
	var sum float64
	n := 0
	for _, r := range rows {
		if v := o.rows[r.Key]; v.rated && v.rate >= idleRate {
			sum += v.rate
			n++
		}
	}
	mean := sum / float64(max(1, n))
	out := make([]ratedRow, len(rows))
	for i, r := range rows {
		v := o.rows[r.Key]
		out[i] = ratedRow{Row: r, rate: v.rate, known: v.rated || mean == 0}
		if !v.rated && now.Sub(v.pair) < rateUnknown {
			out[i].rate = mean
		} else if !v.rated {
			out[i].known = true
		}
	}
	return out
}

// byRate sorts the busiest first, equal ones by key.
func byRate(a, b ratedRow) int {
	return cmp.Or(cmp.Compare(b.rate, a.rate), cmp.Compare(a.Key, b.Key))
}
