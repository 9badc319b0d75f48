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
	{what: "a drop is counted", now: []string{"edge/dataplane.(*Drops).Drop", "edge.(*refusals).note"}, before: []string{"edge.(*drops).drop", "edge.(*dataPlane).dropOpen"}},
	{what: "a new table is published", now: []string{"edge/dataplane.(*Plane).Publish"}, before: []string{"edge.(*Edge).publish"}},
	{what: "it is published how a supernode is reached", now: []string{"edge.(*supernode).publishHop"}, before: []string{"edge.(*Edge).shareHop"}},
	{what: "the time of a peer's next attention is set", now: []string{"edge.(*peers).mark"}, before: []string{"edge.(*Edge).wake"}},
	{what: "it is asked whether a peer is in use", now: []string{"edge.(*peers).active"}, before: []string{"edge.(*Edge).active"}},
	{what: "a packet is sent to an address", now: []string{"edge/dataplane.(*Sender).SendMasked"}, before: []string{"edge.(*Edge).sendTo"}},
	{what: "messages are sent to a supernode", now: []string{"edge.(hopSender).send"}, before: []string{"edge.(*Edge).sendHop"}},
	{what: "messages are sent to a peer", now: []string{"edge.(pairSender).send", "edge.(pairSender).sendBy", "edge.(pairSender).seal"}, before: []string{"edge.(*Edge).sendPair", "edge.(*Edge).sendControl", "edge.(*Edge).sealAlone"}},
	{what: "what was sealed leaves", now: []string{"edge/dataplane.(*Sender).Flush"}, before: []string{"edge.(*gather).flush"}},
	{what: "salts are drawn", now: []string{"edge.(*keyring).countAgain"}},
	{what: "there is chance", now: []string{"edge.(*random).fill", "edge.(*random).jitter", "edge.(*random).nonce"}, before: []string{"edge.(*Edge).fill", "edge.(*Edge).jitter"}},
	{what: "the state file keeps something", now: []string{"edge.(*state).pinSupernode", "edge.(*state).keep", "edge.(*state).keepLease", "edge.(*state).lease"}, before: []string{"edge.(*Edge).store"}},
	{what: "something runs in the background", now: []string{"edge.(*background).Do", "edge.(*background).Go"}, before: []string{"edge.(*Edge).lookUp"}},
	{what: "the queues' table changes", now: []string{"edge/dataplane.(*Draft).SetHop", "edge/dataplane.(*Draft).DropHop", "edge/dataplane.(*Draft).SetSource", "edge/dataplane.(*Draft).DropSource", "edge/dataplane.(*Draft).SetSupernodes"}, before: []string{"edge.(*Edge).addSources"}},
	{what: "the network below is asked or told", now: []string{"edge/underlay.(*Addresses).Observed", "edge/underlay.(*Addresses).ObservedByPeer", "edge/underlay.(*Addresses).SetSupernodes", "edge/underlay.(*Addresses).HostCandidates", "edge/underlay.(*Addresses).Candidates", "edge/underlay.(*STUN).Add", "edge/underlay.(*Lifetime).Ask", "edge/underlay.(*TURN).Offer", "edge/underlay.(*TURN).ByTURN", "edge/underlay.(*PortSampler).Pattern"}, before: []string{"edge.(*addresses).observe", "edge.(*addresses).observePeer", "edge.(*addresses).hostCandidates", "edge.(*addresses).candidates", "edge.(*Edge).takeTURN", "edge.(*Edge).turnPeer", "edge.(*Edge).withPattern"}},
	{what: "a peer or supernode is found, or asked what it is", now: []string{"edge.(*peers).found", "edge.(*peers).at", "edge.(supernodes).relayFor", "edge.(supernodes).relays", "edge.(supernodes).name", "edge.(*pairSessions).sealing", "edge.(*supernode).addr", "edge.(*supernode).target", "edge.(*supernode).shownAddr", "edge.(*supernode).streamText", "edge.(*peers).markAll", "edge/dataplane.(*Route).LeastPacket", "edge/dataplane.(*Route).NextHop"}, before: []string{"edge.(*Edge).relayFor", "edge.(*Edge).relayed", "edge.(*sessions).sealing", "edge.(*link).addr", "edge.(*link).shownAddr", "edge.(*link).streamText", "edge.(*helloOut).target", "edge.(*hopInit).target", "edge.(*route).leastPacket", "edge.(*route).way"}},
	{what: "a round trip is smoothed", now: []string{"edge.(*pingOut).measure", "edge.(*pingOut).answered"}},
	{what: "the messages of a packet are told apart", now: []string{"edge.eachMessage", "edge.parsed"}, before: []string{"edge.take"}},
	{what: "the user is told", now: []string{"edge.(*reporter).report", "edge.(*reporter).registered", "edge.(*reporter).ready"}, before: []string{"edge.(*Edge).report", "edge.(*Edge).fail", "edge.(*Edge).tellRegistered", "edge.(*Edge).tellReady"}},
}

// stories are those whose files are counted.
var stories = []story{
	{
		name: "registering",
		begins: []role{
			{what: "a supernode's name is looked up", now: []string{"edge.(*connector).resolve"}, before: []string{"edge.(*Edge).resolve"}},
			{what: "its addresses are known", now: []string{"edge.(*connector).resolved"}, before: []string{"edge.(*Edge).takeResolution"}},
			{what: "what is due towards a supernode is done", now: []string{"edge.(*connector).retryInit", "edge.(*connector).sendHello", "edge.(*connector).restart", "edge.(*registrar).settle", "edge.(*registrar).renew"}, before: []string{"edge.(*Edge).tickLink"}},
			{what: "an answer to a handshake has come", now: []string{"edge.(*Edge).handleAnswer"}},
			{what: "a packet of a hop session has come", now: []string{"edge.(*Edge).handleHop"}},
		},
		forks: []role{
			{what: "the control loop hands it on", now: []string{"edge.(*Edge).handleEvent"}},
		},
		stops: []role{
			{what: "a peer answers a handshake", now: []string{"edge.(*sessions).handleAnswer"}, before: []string{"edge.(*Edge).handleResp", "edge.(*Edge).handleCookie", "edge.(*Edge).handleNotice"}},
			{what: "a supernode tells of a peer", now: []string{"edge.(*directory).handlePeerInfo"}, before: []string{"edge.(*Edge).handlePeerInfo"}},
			{what: "a supernode says when to punch", now: []string{"edge.(*punching).handlePunch"}, before: []string{"edge.(*Edge).handlePunch"}},
			{what: "how frames travel is decided", now: []string{"edge.(*routing).route"}, before: []string{"edge.(*Edge).reroute"}},
			{what: "another relay is looked for", now: []string{"edge.(*directory).find"}, before: []string{"edge.(*Edge).findRelay"}},
			{what: "a peer is told our addresses", now: []string{"edge.(*sessions).introduce"}, before: []string{"edge.(*Edge).introduce"}},
			{what: "a supernode is pinged, or lost", now: []string{"edge.(*registrar).handlePong", "edge.(*registrar).pong", "edge.(*registrar).lost", "edge.(*registrar).keepaliveAt"}, before: []string{"edge.(*Edge).handleLinkPong", "edge.(*Edge).pingLink", "edge.(*Edge).lostLink", "edge.(*Edge).keepalive"}},
			{what: "the device gets its address", now: []string{"edge.(*deviceAddresses).granted", "edge.(*deviceAddresses).wanted", "edge.(*deviceAddresses).features", "edge.(*deviceAddresses).refused", "edge.(*deviceAddresses).elsewhere", "edge.(*deviceAddresses).without"}, before: []string{"edge.(*Edge).takeLease", "edge.(*Edge).wantedPrefix", "edge.(*Edge).addressFeatures"}},
			{what: "a supernode hands out a TURN server", now: []string{"edge.(*registrar).offerTURN"}},
			{what: "a supernode says where it is", now: []string{"edge.(*pointers).handle", "edge.(*pointers).spend", "edge.(*pointers).arrived"}},
			{what: "a supernode says that it has another key", now: []string{"edge.(*rotations).handle", "edge.(*rotations).answered", "edge.(*rotations).failed", "edge.(*rotations).shows"}},
			{what: "a supernode says what it did not relay", now: []string{"edge.(*limits).handle"}},
			{what: "a supernode carries the list of members", now: []string{"edge.(*serverLists).message", "edge.(*serverLists).claim"}},
			{what: "another machine with our identity is noticed", now: []string{"edge.(*twin).notice", "edge.(*self).signAgain"}},
			{what: "members are asked for", now: []string{"edge.(*directory).ask"}, before: []string{"edge.(*Edge).query"}},
			{what: "a stream is made or let go", now: []string{"edge.(*connector).dropStream", "edge.(*connector).settleStream", "edge.(*connector).dialStream"}, before: []string{"edge.(*Edge).dropStream", "edge.(*Edge).tickStream", "edge.(*Edge).dialStream"}},
			{what: "a name is looked up in the background", now: []string{"edge/underlay.(*Name).LookUp"}},
			{what: "the addresses of a supernode are chosen", now: []string{"edge.(*locator).place", "edge.(*locator).recall", "edge.(*locator).trusted", "edge.(*locator).unresolved", "edge.(*locator).answeredAt"}},
			{what: "a name stands for another host", now: []string{"edge.(*connector).follow", "edge.(*connector).takeOver"}},
			{what: "the DIRECT set begins anew", now: []string{"edge.(*registrar).forgetDirect"}},
			{what: "the DIRECT set is sent", now: []string{"edge.(*registrar).sendDirect"}, before: []string{"edge.(*Edge).sendDirect"}},
		},
	},
	{
		name: "punching",
		begins: []role{
			{what: "frames want a path", now: []string{"edge.(*Edge).needed"}, before: []string{"edge.(*Edge).need"}},
			{what: "the path is asked what to send", now: []string{"edge.(*routing).pollPath"}, before: []string{"edge.(*Edge).pollPath"}},
			{what: "a supernode says when to begin", now: []string{"edge.(*punching).handlePunch"}, before: []string{"edge.(*Edge).handlePunch"}},
			{what: "the peer calls", now: []string{"edge.(*punching).handleCall"}, before: []string{"edge.(*Edge).handleCall"}},
			{what: "the peer answers a call", now: []string{"edge.(*punching).handleCallAck"}, before: []string{"edge.(*Edge).handleCallAck"}},
			{what: "the peer says when to begin", now: []string{"edge.(*punching).handleGo"}, before: []string{"edge.(*Edge).handleGo"}},
			{what: "the peer tells its candidates", now: []string{"edge.(*routing).setCandidates"}, before: []string{"edge.(*Edge).handleCandidates"}},
			{what: "a probe is answered", now: []string{"edge.(*routing).handlePong"}, before: []string{"edge.(*Edge).handlePong"}},
			{what: "a packet comes from a new address", now: []string{"edge.(*routing).heard"}, before: []string{"edge.(*Edge).heardFrom"}},
		},
		forks: []role{
			{what: "a frame is for or from a peer", now: []string{"edge/dataplane.(*Peer).touch"}, before: []string{"edge.(*peerView).touch"}},
			{what: "the control loop hands it on", now: []string{"edge.(*Edge).handleEvent"}},
		},
		stops: []role{
			{what: "a handshake begins", now: []string{"edge.(*sessions).initiate"}, before: []string{"edge.(*Edge).initiate"}},
			{what: "sessions are renewed", now: []string{"edge.(*sessions).expire"}, before: []string{"edge.(*Edge).tickSessions"}},
			{what: "how frames travel is decided", now: []string{"edge.(*routing).route"}, before: []string{"edge.(*Edge).reroute"}},
			{what: "it is judged what a path loses", now: []string{"edge.(*routing).judge"}, before: []string{"edge.(*Edge).judge"}},
			{what: "another relay is looked for", now: []string{"edge.(*directory).find"}, before: []string{"edge.(*Edge).findRelay"}},
			{what: "a probe is sent by a socket of its own", now: []string{"edge.(*routing).probeBySocket"}, before: []string{"edge.(*Edge).fanOut"}},
			{what: "the sockets of a path are closed", now: []string{"edge.(*routing).trimSockets"}, before: []string{"edge.(*Edge).trimFan"}},
			{what: "the peer's session and supernode are looked after", now: []string{"edge.(*sessions).needed", "edge.(*registrar).watch"}},
			{what: "who is reached through a third edge is looked up", now: []string{"edge.(*introducers).routeTo"}, before: []string{"edge.(*Edge).callRoute"}},
			{what: "a user's ping is answered", now: []string{"edge.(*echoes).answered"}, before: []string{"edge.(*Edge).takeEcho"}},
			{what: "the size of the relayed path is measured", now: []string{"edge.(*routing).pollRelaySize", "edge.(*relaySize).answered"}, before: []string{"edge.(*Edge).pollRelaySize", "edge.(*relaySize).take"}},
			{what: "the user is told how a peer is reached", now: []string{"edge.(*reporter).settle"}, before: []string{"edge.(*Edge).announce"}},
		},
	},
	{
		name: "a path that dies",
		begins: []role{
			{what: "the system refuses a datagram", now: []string{"edge/dataplane.(*mailbox).noteSendError"}, before: []string{"edge.(*mailbox).noteSendError"}},
			{what: "the paths to that address hear of it", now: []string{"edge.(*routing).sendFailed"}, before: []string{"edge.(*Edge).pollPath"}},
			{what: "the path is asked what to send, and how frames travel is decided", now: []string{"edge.(*routing).settle"}, before: []string{"edge.(*Edge).pollPath"}},
		},
		forks: []role{
			{what: "the control loop hands it on", now: []string{"edge.(*Edge).handleEvent"}},
			{what: "it is handed to the control loop", now: []string{"edge/dataplane.(*mailbox).post"}, before: []string{"edge.(*mailbox).post"}},
		},
		stops: []role{
			{what: "a punch is asked for", now: []string{"edge.(*punching).ask", "edge.(*punching).call"}, before: []string{"edge.(*Edge).askPunch", "edge.(*Edge).callPeer"}},
			{what: "a probe is sent by a socket of its own", now: []string{"edge.(*routing).probeBySocket"}, before: []string{"edge.(*Edge).fanOut"}},
			{what: "the sockets of a path are closed", now: []string{"edge.(*routing).trimSockets"}, before: []string{"edge.(*Edge).trimFan"}},
			{what: "the size of the relayed path and of floods is measured", now: []string{"edge.newRelaySize", "edge.(*relaySize).limit", "edge.(*routing).sizeGroup"}, before: []string{"edge.(*Edge).sizeGroup"}},
			{what: "a peer is told our addresses", now: []string{"edge.(*sessions).introduce"}, before: []string{"edge.(*Edge).introduce"}},
			{what: "help of a TURN server is asked for", now: []string{"edge.(*routing).settleTURN"}},
			{what: "whether the direct path carries trains is asked", now: []string{"edge.(*routing).pollTrains"}},
			{what: "the size of the relayed path is measured", now: []string{"edge.(*routing).pollRelaySize"}, before: []string{"edge.(*Edge).pollRelaySize"}},
			{what: "what waited for a path is sent", now: []string{"edge.(*sessions).settle"}, before: []string{"edge.(*Edge).releaseStagedIfReady"}},
			{what: "a peer's state is described", now: []string{"edge.(*describer).peer"}, before: []string{"edge.(*Edge).peerStatus"}},
		},
	},
}
