package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	ucli "github.com/urfave/cli/v2"

	"hedgerow/internal/cli"
	"hedgerow/internal/localapi"
	"hedgerow/supernode/admin"
)

// status is "supernode status [--json]".
func (cmd *command) status(c *ucli.Context) error {
	path, err := cmd.findSocket(c)
	if err != nil {
		return err
	}
	st, err := admin.Socket(path).Status(c.Context)
	switch {
	case errors.Is(err, localapi.ErrNotRunning):
		return cli.Errorf(cli.Failure, "", "no supernode runs here: nothing listens on %s.", path)
	case errors.Is(err, fs.ErrPermission):
		return cli.Errorf(cli.Permission, "", "no permission for %s: use sudo, or the group of the supernode.", path)
	case err != nil:
		return cli.Errorf(cli.Failure, "", "%w", err)
	}
	if cli.Bool(c, "json") {
		e := json.NewEncoder(cmd.streams.Out)
		e.SetIndent("", "  ")
		return e.Encode(st)
	}
	printStatus(cmd.streams.Out, &st)
	return nil
}

// findSocket returns the socket of --control, or the one in a runtime
// directory.
func (cmd *command) findSocket(c *ucli.Context) (string, error) {
	if path := cmd.option(c, "control", "SUPERNODE_CONTROL"); path != "" {
		return path, nil
	}
	for _, path := range cmd.place.Sockets() {
		if filepath.Base(path) == controlSocket {
			return path, nil
		}
	}
	return "", cli.Errorf(cli.Failure, "", "no supernode runs here: no %s in %s. If it has another socket, name it with --control PATH.",
		controlSocket, strings.Join(cmd.place.RuntimeDirs(), ", "))
}

// shownCommunity is how many digits of a community's id are shown.
const shownCommunity = 12

// printStatus writes a state for a person.
func printStatus(w io.Writer, st *admin.Status) {
	fmt.Fprintf(w, "supernode   %s  UP %s  udp %s\n", st.Version, duration(st.UptimeS), st.Listen)
	if st.Streams != nil {
		listen := make([]string, len(st.Streams.Listen))
		for i, a := range st.Streams.Listen {
			listen[i] = a.String()
		}
		fmt.Fprintf(w, "streams     %d open  tcp %s\n", st.Streams.Open, strings.Join(listen, ", "))
	}
	fmt.Fprintf(w, "key         %s\n", st.Key)
	fmt.Fprintf(w, "edges       %d here, %d leases in %d communities\n\n", st.Edges, st.Leases, len(st.Communities))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "COMMUNITY\tEDGES\tLEASES\tRELAYED\tFLOODS\tPOOL")
	for _, c := range st.Communities {
		fmt.Fprintf(t, "%s\t%d\t%d\t%s\t%d\t%s\n", c.ID[:min(len(c.ID), shownCommunity)], c.Edges, c.Leases, size(c.Relayed.Bytes), c.Relayed.Floods, c.Pool)
	}
	_ = t.Flush()
	if len(st.Drops) == 0 {
		return
	}
	reasons := slices.SortedFunc(maps.Keys(st.Drops), func(a, b string) int {
		return cmp.Or(cmp.Compare(st.Drops[b], st.Drops[a]), cmp.Compare(a, b))
	})
	for i, reason := range reasons {
		reasons[i] = fmt.Sprintf("%s %d", reason, st.Drops[reason])
	}
	fmt.Fprintf(w, "\ndropped     %s\n", strings.Join(reasons, ", "))
}

// duration writes a time in its two greatest units.
func duration(seconds float64) string {
	d := time.Duration(seconds) * time.Second
	days, hours, minutes := int(d.Hours())/24, int(d.Hours())%24, int(d.Minutes())%60
	switch {
	case days > 0:
		return fmt.Sprintf("%dd%dh", days, hours)
	case hours > 0:
		return fmt.Sprintf("%dh%dm", hours, minutes)
	case minutes > 0:
		return fmt.Sprintf("%dm%ds", minutes, int(d.Seconds())%60)
	}
	return fmt.Sprintf("%ds", int(d.Seconds()))
}

// size writes a number of bytes with three digits or so.
func size(n uint64) string {
	const units = "kMGTPE"
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	v, i := float64(n)/1000, 0
	for v >= 1000 && i < len(units)-1 {
		v, i = v/1000, i+1
	}
	return fmt.Sprintf("%.1f %cB", v, units[i])
}
