package path

// State is where a path stands. docs/NAT.md draws the transitions.
type State uint8

// The states of a path.
const (
	// StateIdle: there was no traffic for long. Nothing is sent; frames that come
	// nevertheless go by the relayed path.
	StateIdle State = iota
	// StateWaiting: an attempt has failed and the next one has a time. Frames go by
	// the relayed path.
	StateWaiting
	// StateChecking: an attempt runs. Frames go by the relayed path.
	StateChecking
	// StateNominated: a remote has answered and has yet to carry packets as large as
	// data. Frames go by the relayed path.
	StateNominated
	// StateDirect: frames go to the selected address.
	StateDirect
	// StateSuspect: a ping over the direct path is unanswered. Frames go to the
	// selected address and by the relayed path.
	StateSuspect
)

var stateNames = [...]string{"idle", "waiting", "checking", "nominated", "direct", "suspect"}

// String returns the state's name in lower case.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return "unknown"
}

// state returns the state of the path, which follows from its parts.
func (p *Machine) state() State {
	switch {
	case p.selection.suspect():
		return StateSuspect
	case p.selection.exists():
		return StateDirect
	case p.nomination.runs():
		return StateNominated
	case p.attempt.running():
		return StateChecking
	case !p.attempt.retry.IsZero():
		return StateWaiting
	}
	return StateIdle
}
