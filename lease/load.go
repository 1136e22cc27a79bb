package lease

import (
	"cmp"
	"math"
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
	costAlpha   = 0.125            // the weight of one report in what a KiB/s costs
	priceBand   = 0.25             // prices this near to each other are taken for equal
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

// comparable reports whether this worker may show its CPU: not beside a worker of
// the KCL that shows none, as they do outside of EC2 and ECS. A leader of the KCL
// compares a metric among the workers that have it; one that has it alone is the
// mean, loaded as it should be, and is given nothing, even if it reads nothing.
func (o *observer) comparable(now time.Time) bool {
	for _, id := range o.active(now) {
		if w := o.workers[id]; !w.ours && !w.cpuKnown && id != o.me {
			return false
		}
	}
	return true
}

// observeRate smooths the throughput of a lease, which its owner measures over
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

// judgeCosts measures what a KiB/s costs each worker whose leases have been the
// same for long enough that its load is that of these.
func (o *observer) judgeCosts(now time.Time, rows []Row) {
	rates := make(map[string]float64)
	for i := range rows {
		if v := o.rows[rows[i].Key]; v.rated && v.rate >= idleRate {
			rates[rows[i].Reader()] += v.rate
		}
	}
	for id, w := range o.workers {
		if !w.cpuKnown || w.cpu < cpuMatters || rates[id] == 0 || now.Sub(w.moved) < cpuAtRest {
			continue
		}
		cost := w.cpu / rates[id]
		if w.cost == 0 {
			w.cost = cost
		} else if w.changed.Equal(now) { // once a report
			w.cost += (cost - w.cost) * costAlpha
		}
	}
}

// judgePrices compares what a KiB/s costs the workers: with the mean of the
// workers, not of the traffic, so that moving leases does not change it. A price
// holds until the measured one is far from it, so that noise moves nothing.
func (o *observer) judgePrices(ids []string) {
	var sum float64
	n := 0
	for _, id := range ids { // sorted: sums of floats depend on the order
		if c := o.workers[id].cost; c > 0 {
			sum += c
			n++
		}
	}
	for _, id := range ids {
		w := o.workers[id]
		if w.price == 0 {
			w.price = 1
		}
		if w.cost == 0 {
			continue
		}
		p := min(priceBound, max(1/priceBound, w.cost*float64(n)/sum))
		if p > w.price*(1+priceBand) || p < w.price/(1+priceBand) {
			w.price = p
		}
	}
}

// loadsOf returns what the active workers are, carrying nothing yet, by id.
func (o *observer) loadsOf(now time.Time) []*load {
	var out []*load
	for _, id := range o.active(now) {
		w := o.workers[id]
		l := &load{id: id, price: cmp.Or(w.price, 1), barred: w.failing}
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

	at     string // the worker that has it as far as the plan got
	reason Reason // why it does, if that is not its owner
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
