package control

// Routes are the networks behind other edges, as GET /api/v1/routes returns them.
type Routes struct {
	// Announced are the networks behind this edge that it tells others of.
	Announced []string `json:"announced"`
	// Routes are those behind others, by network.
	Routes []Route `json:"routes"`
}

// Route is a network behind an edge.
type Route struct {
	// Prefix is the network, "192.168.7.0/24".
	Prefix string `json:"prefix"`
	// Edge is the name of the edge, its identity's short form if it has none.
	Edge string `json:"edge"`
	// ID is the short form of the edge's identity.
	ID string `json:"id"`
	// Via is the edge's address in the overlay that packets are sent by, or empty.
	Via string `json:"via,omitempty"`
	// State is one of the Route constants.
	State RouteState `json:"state"`
	// Why is why the network is not used by way of this edge, in words that follow the
	// network; empty: it is.
	Why string `json:"why,omitempty"`
	// Cost is what the path to the edge costs, 0 without a path.
	Cost int `json:"cost,omitempty"`
}

// RouteState says whether packets to a network go to an edge.
type RouteState string

const (
	// RouteUsed means that packets to the network go there.
	RouteUsed RouteState = "used"
	// RouteSpare means that they would if another edge failed.
	RouteSpare RouteState = "spare"
	// RouteRefused means that they do not, for the reason in Why.
	RouteRefused RouteState = "refused"
)
