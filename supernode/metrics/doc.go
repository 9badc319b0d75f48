// Package metrics shows a running supernode to monitors by HTTP: /metrics in the text
// format of Prometheus, /healthz and /readyz. Nothing can be changed by it. Communities
// appear by their ids; no identity, hardware address or IP address of an edge does.
package metrics
