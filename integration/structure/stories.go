package main

// A role is a function by what it does. now are its names in this version, before
// those in the version that is compared with; a role may be filled by several
// functions, and one that only one of the versions has is empty in the other.
type role struct {
	what   string
	now    []string
	before []string
}

// A story is something that happens in an edge, as a reader follows it.
type story struct {
	name string
	// begins are the functions at which it begins, or goes on after a message or a
	// wait. In every version there is one for each.
	begins []role
	// forks are functions on the way that hand on to other stories as well: their
	// files are counted, but their calls are not followed.
	forks []role
	// stops are functions whose names are enough: they are neither counted nor
	// followed. Every one of them is in another story or in none.
	stops []role
}

// services are stops in every story.
var services = []role{
	{what: "a drop is counted", now: []string{"edge.(*drops).drop", "edge.(*dataPlane).dropOpen"}},
	{what: "a new table is published", now: []string{"edge.(*Edge).publish"}},
	{what: "it is published how a supernode is reached", now: []string{"edge.(*Edge).shareHop"}},
	{what: "the time of a peer's next attention is set", now: []string{"edge.(*Edge).wake"}},
	{what: "it is asked whether a peer is in use", now: []string{"edge.(*Edge).active"}},
	{what: "a packet is sent to an address", now: []string{"edge.(*Edge).sendTo"}},
	{what: "messages are sent to a supernode", now: []string{"edge.(*Edge).sendHop"}},
	{what: "messages are sent to a peer", now: []string{"edge.(*Edge).sendPair", "edge.(*Edge).sendControl", "edge.(*Edge).sealAlone"}},
	{what: "what was sealed leaves", now: []string{"edge.(*gather).flush"}},
	{what: "the user is told", now: []string{"edge.(*Edge).report", "edge.(*Edge).fail"}},
}

// stories are those whose files are counted.
var stories = []story{
	{
		name: "registering",
		begins: []role{
			{what: "a supernode's name is looked up", now: []string{"edge.(*Edge).resolve"}},
			{what: "its addresses are known", now: []string{"edge.(*Edge).takeResolution"}},
			{what: "what is due towards a supernode is done", now: []string{"edge.(*Edge).tickLink"}},
			{what: "an answer to a handshake has come", now: []string{"edge.(*Edge).handleAnswer"}},
			{what: "a packet of a hop session has come", now: []string{"edge.(*Edge).handleHop"}},
		},
		forks: []role{
			{what: "a datagram of a supernode comes in", now: []string{"edge.(*inbound).handleHop"}},
			{what: "it is handed to the control loop", now: []string{"edge.(*mailbox).post"}},
			{what: "the control loop hands it on", now: []string{"edge.(*Edge).handleEvent"}},
		},
		stops: []role{
			{what: "a peer answers a handshake", now: []string{"edge.(*Edge).handleResp", "edge.(*Edge).handleCookie", "edge.(*Edge).handleNotice"}},
			{what: "a supernode tells of a peer", now: []string{"edge.(*Edge).handlePeerInfo"}},
			{what: "a supernode says when to punch", now: []string{"edge.(*Edge).handlePunch"}},
			{what: "how frames travel is decided", now: []string{"edge.(*Edge).reroute"}},
			{what: "another relay is looked for", now: []string{"edge.(*Edge).findRelay"}},
			{what: "a peer is told our addresses", now: []string{"edge.(*Edge).introduce"}},
			{what: "the DIRECT set is sent", now: []string{"edge.(*Edge).sendDirect"}},
		},
	},
	{
		name: "punching",
		begins: []role{
			{what: "frames want a path", now: []string{"edge.(*Edge).need"}},
			{what: "the path is asked what to send", now: []string{"edge.(*Edge).pollPath"}},
			{what: "a supernode says when to begin", now: []string{"edge.(*Edge).handlePunch"}},
			{what: "the peer calls", now: []string{"edge.(*Edge).handleCall"}},
			{what: "the peer answers a call", now: []string{"edge.(*Edge).handleCallAck"}},
			{what: "the peer says when to begin", now: []string{"edge.(*Edge).handleGo"}},
			{what: "the peer tells its candidates", now: []string{"edge.(*Edge).handleCandidates"}},
			{what: "a probe is answered", now: []string{"edge.(*Edge).handlePong"}},
			{what: "a packet comes from a new address", now: []string{"edge.(*Edge).heardFrom"}},
		},
		forks: []role{
			{what: "a frame is for or from a peer", now: []string{"edge.(*peerView).touch"}},
			{what: "the control loop hands it on", now: []string{"edge.(*Edge).handleEvent"}},
		},
		stops: []role{
			{what: "a handshake begins", now: []string{"edge.(*Edge).initiate"}},
			{what: "sessions are renewed", now: []string{"edge.(*Edge).tickSessions"}},
			{what: "how frames travel is decided", now: []string{"edge.(*Edge).reroute"}},
			{what: "it is judged what a path loses", now: []string{"edge.(*Edge).judge"}},
			{what: "another relay is looked for", now: []string{"edge.(*Edge).findRelay"}},
			{what: "a user's ping is answered", now: []string{"edge.(*Edge).takeEcho"}},
			{what: "the size of the relayed path is measured", now: []string{"edge.(*Edge).pollRelaySize", "edge.(*relaySize).take"}},
			{what: "the user is told how a peer is reached", now: []string{"edge.(*Edge).announce"}},
		},
	},
	{
		name: "a path that dies",
		begins: []role{
			{what: "the system refuses a datagram", now: []string{"edge.(*mailbox).noteSendError"}},
			{what: "the path is asked what to send", now: []string{"edge.(*Edge).pollPath"}},
		},
		forks: []role{
			{what: "the control loop hands it on", now: []string{"edge.(*Edge).handleEvent"}},
			{what: "it is handed to the control loop", now: []string{"edge.(*mailbox).post"}},
		},
		stops: []role{
			{what: "a punch is asked for", now: []string{"edge.(*Edge).askPunch", "edge.(*Edge).callPeer"}},
			{what: "a probe is sent by a socket of its own", now: []string{"edge.(*Edge).fanOut"}},
			{what: "the sockets of a path are closed", now: []string{"edge.(*Edge).trimFan"}},
			{what: "the size of the relayed path and of floods is measured", now: []string{"edge.newRelaySize", "edge.(*relaySize).limit", "edge.(*Edge).sizeGroup"}},
			{what: "a peer is told our addresses", now: []string{"edge.(*Edge).introduce"}},
			{what: "what waited for a path is sent", now: []string{"edge.(*Edge).releaseStagedIfReady"}},
			{what: "a peer's state is described", now: []string{"edge.(*Edge).peerStatus"}},
		},
	},
}
