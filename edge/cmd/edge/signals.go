package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"

	"hedgerow/edge/control"
)

// watchSignals acts on SIGHUP and SIGUSR1, where there are such signals, until
// ctx ends.
func watchSignals(ctx context.Context, log *slog.Logger, src control.Source) {
	signals := make(chan os.Signal, 1)
	notifyExtra(signals)
	defer signal.Stop(signals)
	for {
		select {
		case <-ctx.Done():
			return
		case s := <-signals:
			if isReload(s) {
				reload(ctx, log, src)
			} else {
				dump(ctx, log, src)
			}
		}
	}
}

// reload reads the keys anew. The edge reports how that went.
func reload(ctx context.Context, log *slog.Logger, src control.Source) {
	if err := src.Reload(ctx); err != nil {
		log.Error("the keys could not be read anew; the old ones stay", "err", err)
	}
}

// dump writes the state to the log.
func dump(ctx context.Context, log *slog.Logger, src control.Source) {
	st, err := src.Status(ctx)
	if err != nil {
		log.Error("no state to show", "err", err)
		return
	}
	log.Info("state", "community", st.Community, "device", st.Device, "prefixes", st.Prefixes, "uptime_s", int64(st.UptimeS),
		"key_index", st.KeyIndex, "peers", st.Peers.Seen, "direct", st.Peers.Direct, "relayed", st.Peers.Relayed)
	for _, sn := range st.Supernodes {
		log.Info("supernode", "name", sn.Name, "addr", sn.Addr, "state", string(sn.State))
	}
	for reason, n := range st.Drops {
		if n > 0 {
			log.Info("drops", "reason", reason, "count", n)
		}
	}
	peers, err := src.Peers(ctx)
	if err != nil {
		log.Error("no peers to show", "err", err)
		return
	}
	for _, p := range peers {
		log.Info("peer", "name", p.Name, "id", p.ID, "mac", p.MAC, "path", string(p.Path), "endpoint", p.Endpoint, "via", p.Via,
			"rx_bytes", p.RxBytes, "tx_bytes", p.TxBytes)
	}
}
