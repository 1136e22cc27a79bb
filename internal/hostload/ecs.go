package hostload

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// An ecs reads the task metadata endpoint of Amazon ECS.
type ecs struct {
	uri    string
	client *http.Client
	share  float64 // of the CPUs of the task, as a number of CPUs; 0 if not known yet
}

func newECS(uri string) *ecs {
	// A connection kept open would be a goroutine nobody owns. The endpoint is
	// link-local: no proxy leads there.
	return &ecs{uri: strings.TrimSuffix(uri, "/"), client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
}

// taskStats is what counts of the answer to /stats: nanoseconds of the container
// and of the machine.
type taskStats struct {
	CPU struct {
		Usage struct {
			Total float64 `json:"total_usage"`
		} `json:"cpu_usage"`
		System float64 `json:"system_cpu_usage"`
		Online float64 `json:"online_cpus"`
	} `json:"cpu_stats"`
}

// A container is what counts of the answer to the bare URI, and one of those in
// the answer to /task.
type container struct {
	ID     string `json:"DockerId"`
	Limits struct {
		CPU float64
	}
}

type task struct {
	Containers []container
	Limits     struct {
		CPU float64 // CPUs of the whole task, 0 for no bound
	}
}

// read makes one request, and two more until the container's share is known.
func (e *ecs) read(ctx context.Context) ([]gauge, error) {
	var stats taskStats
	if err := e.get(ctx, "/stats", &stats); err != nil {
		return nil, err
	}
	cpu := &stats.CPU
	if cpu.Online <= 0 || cpu.System <= 0 || cpu.Usage.Total < 0 {
		return nil, fmt.Errorf("hostload: %s/stats: CPU used %v of %v, online CPUs %v, want all above 0", e.uri, cpu.Usage.Total, cpu.System, cpu.Online)
	}
	if e.share == 0 {
		share, err := e.readShare(ctx, cpu.Online)
		if err != nil {
			return nil, err
		}
		e.share = share
	}
	return []gauge{{name: e.uri, used: cpu.Usage.Total, clock: cpu.System, share: e.share / cpu.Online}}, nil
}

func (e *ecs) readShare(ctx context.Context, online float64) (float64, error) {
	var own container
	var whole task
	if err := e.get(ctx, "", &own); err != nil {
		return 0, err
	}
	if err := e.get(ctx, "/task", &whole); err != nil {
		return 0, err
	}
	return shareOf(own, whole, online), nil
}

// shareOf returns how many CPUs a container may count on when all of its task are
// busy.
func shareOf(own container, whole task, online float64) float64 {
	const least = 2 // the CPU shares of a container that asks for none
	sum, mine := 0.0, float64(least)
	for _, c := range whole.Containers {
		shares := max(least, c.Limits.CPU)
		sum += shares
		if c.ID == own.ID {
			mine = shares
		}
	}
	cpus := whole.Limits.CPU
	if cpus <= 0 {
		cpus = online
	}
	return cpus * mine / max(sum, mine)
}

// get reads one document of the endpoint.
func (e *ecs) get(ctx context.Context, what string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, e.uri+what, http.NoBody)
	if err != nil {
		return fmt.Errorf("hostload: task metadata: %w", err)
	}
	res, err := e.client.Do(req)
	if err != nil {
		return fmt.Errorf("hostload: task metadata: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("hostload: task metadata: %s%s: %s", e.uri, what, res.Status)
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, maxFile)).Decode(into); err != nil {
		return fmt.Errorf("hostload: task metadata: %s%s: %w", e.uri, what, err)
	}
	return nil
}
