package dynamo

// The account's quotas, as DescribeLimits tells them: AWS's defaults.
const (
	accountUnits = 80_000
	tableUnits   = 40_000
)

func (s *Service) describeLimits(r *request) (any, error) {
	if err := r.done(); err != nil {
		return nil, err
	}
	return map[string]any{
		"AccountMaxReadCapacityUnits": accountUnits, "AccountMaxWriteCapacityUnits": accountUnits,
		"TableMaxReadCapacityUnits": tableUnits, "TableMaxWriteCapacityUnits": tableUnits,
	}, nil
}

// describeEndpoints names the endpoint of the region, which clients that
// discover endpoints would go to.
func (s *Service) describeEndpoints(r *request) (any, error) {
	if err := r.done(); err != nil {
		return nil, err
	}
	address := "dynamodb." + s.opts.Identity.Region + ".amazonaws.com"
	return map[string]any{"Endpoints": []any{map[string]any{"Address": address, "CachePeriodInMinutes": 1440}}}, nil
}
