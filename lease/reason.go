package lease

// A Reason says why a lease moved. It goes with the move into
// [Events.Assigned], [Events.Released] and the log.
type Reason string

// The reasons. Those of a leader come first, then that of a worker for itself.
const (
	ReasonFree      Reason = "nobody holds it"
	ReasonExpired   Reason = "its owner does not renew it"
	ReasonStuck     Reason = "its handover takes too long"
	ReasonCount     Reason = "its owner holds more leases than others"
	ReasonLoad      Reason = "its owner carries more load than others"
	ReasonOverLimit Reason = "its owner is above its operating range"
	ReasonChild     Reason = "its parents were finished here"
	ReasonStopping  Reason = "its owner stops"
	ReasonReturned  Reason = "its owner gave it up"
	ReasonHandover  Reason = "its owner was asked to hand it over"
)
