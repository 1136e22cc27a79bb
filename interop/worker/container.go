package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
)

// A container reads its use of the CPU from the metadata that ECS serves, as an
// application there may do and as the KCL does.
type container struct {
	url        string
	used, time float64 // nanoseconds at the last call
}

// load implements [lease.Options.Load] for a container that may use all of one
// CPU.
func (c *container) load(ctx context.Context) (float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+"/stats", http.NoBody)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	var stats struct {
		CPU struct {
			Usage struct {
				Total float64 `json:"total_usage"`
			} `json:"cpu_usage"`
			System float64 `json:"system_cpu_usage"`
		} `json:"cpu_stats"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&stats); err != nil {
		return 0, err
	}
	used, time := stats.CPU.Usage.Total-c.used, stats.CPU.System-c.time
	if time <= 0 {
		return 0, fmt.Errorf("%s: no time has passed", c.url)
	}
	c.used, c.time = stats.CPU.Usage.Total, stats.CPU.System
	return 100 * used / time, nil
}
