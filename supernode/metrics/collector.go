package metrics

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"hedgerow/supernode/admin"
)

// collector makes the metrics of a supernode from its documents, each time that they are
// asked for.
type collector struct{ src Source }

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("supernode_"+name, help, labels, nil)
}

// The metrics. Those with a label "community" are told of the largest communities only, so
// that strangers cannot make many thousands of series.
var (
	infoDesc          = describe("info", "The supernode's version; the value is 1.", "version")
	notesDesc         = describe("notes", "Things that stop or degrade what the supernode does, as 'supernode health' lists them.")
	communitiesDesc   = describe("communities", "Communities with a registration.")
	edgesDesc         = describe("edges", "Edges of the community that have a session.", "community")
	labelDesc         = describe("community_label", "What the operator calls the community; the value is 1.", "community", "label")
	relayBytesDesc    = describe("relay_bytes_total", "Bytes that left for packets of the community, with all copies of floods.", "community")
	relayPacketsDesc  = describe("relay_packets_total", "Packets of the community that were accepted for relaying.", "community", "kind")
	limitedDesc       = describe("limited_packets_total", "Packets of the community that were over its budget.", "community")
	allBytesDesc      = describe("relayed_bytes_total", "Bytes that left for relayed packets, with all copies of floods.")
	monthDesc         = describe("month_bytes", "Bytes that left in this calendar month (UTC), with headers.")
	monthLimitDesc    = describe("month_limit_bytes", "How many may, as --limit line-month says; there is none without it.")
	theirMonthDesc    = describe("community_month_bytes", "Bytes that left in this calendar month (UTC) for the community, with headers.", "community")
	registrationsDesc = describe("registrations_total", "Requests to register, by what became of them.", "result")
	leasesDesc        = describe("leases", "Registrations by whether their edge is here or away.", "state")
	sessionsDesc      = describe("sessions", "Sessions by whether their edge has registered.", "kind")
	streamsDesc       = describe("streams", "Open streams of edges that cannot use UDP.")
	datagramsDesc     = describe("datagrams_total", "Datagrams of the UDP socket.", "dir")
	dropsDesc         = describe("drops_total", "Datagrams and messages that went no further, by reason (docs/debugging.md).", "reason")
)

// Describe sends the metrics that there are.
func (*collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		infoDesc, notesDesc, communitiesDesc, edgesDesc, labelDesc, relayBytesDesc, relayPacketsDesc, limitedDesc, allBytesDesc,
		monthDesc, monthLimitDesc, theirMonthDesc,
		registrationsDesc, leasesDesc, sessionsDesc, streamsDesc, datagramsDesc, dropsDesc,
	} {
		ch <- d
	}
}

// Collect sends their values.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	st := c.src.Status()
	gauge := func(d *prometheus.Desc, v int, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v), valid(labels)...)
	}
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), valid(labels)...)
	}
	bytes := func(d *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v), valid(labels)...)
	}
	gauge(infoDesc, 1, st.Version)
	gauge(notesDesc, len(st.Notes))
	gauge(communitiesDesc, st.Totals.Communities)
	for _, community := range st.Communities {
		gauge(edgesDesc, community.Edges, community.ID)
		if community.Label != "" {
			gauge(labelDesc, 1, community.ID, community.Label)
		}
		counter(relayBytesDesc, community.Relayed.Total(), community.ID)
		counter(relayPacketsDesc, community.Relayed.Packets, community.ID, "unicast")
		counter(relayPacketsDesc, community.Relayed.Floods, community.ID, "flood")
		bytes(theirMonthDesc, community.Month.Used, community.ID)
		if community.Limited != nil {
			counter(limitedDesc, community.Limited.Packets, community.ID)
		}
	}
	counter(allBytesDesc, st.Totals.Relayed.Total())
	bytes(monthDesc, st.Totals.Month.Used)
	if limit := st.Totals.Month.Limit; limit != 0 {
		bytes(monthLimitDesc, limit)
	}
	gauge(leasesDesc, st.Edges, "here")
	gauge(leasesDesc, st.Leases-st.Edges, "away")
	gauge(sessionsDesc, st.Sessions-st.Guests, "registered")
	gauge(sessionsDesc, st.Guests, "guest")
	if st.Streams != nil {
		gauge(streamsDesc, st.Streams.Open)
	}
	if socket := c.src.Counters().Socket; socket != nil {
		counter(datagramsDesc, socket.Datagrams, "in")
		counter(datagramsDesc, socket.DatagramsOut, "out")
	}
	counter(registrationsDesc, st.Totals.Registered, "accepted")
	refused(st, counter)
}

// refused tells what went no further, and of that what was a request to register.
func refused(st admin.Status, counter func(d *prometheus.Desc, v uint64, labels ...string)) {
	for reason, n := range st.Drops {
		counter(dropsDesc, n, reason)
		if result, ok := strings.CutPrefix(reason, "register-"); ok {
			counter(registrationsDesc, n, result)
		}
	}
}

// valid makes the values of labels valid UTF-8, without which there would be no metrics at
// all.
func valid(labels []string) []string {
	for i, l := range labels {
		labels[i] = strings.ToValidUTF8(l, "\uFFFD")
	}
	return labels
}
