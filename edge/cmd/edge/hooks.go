package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	ucli "github.com/urfave/cli/v2"

	"hedgerow/edge/control"
	"hedgerow/internal/cli"
	"hedgerow/internal/format"
)

// Bounds of a hook.
const (
	hookTime   = 10 * time.Second // then it is killed
	hookGrace  = time.Second      // for what it left behind with its output open
	hookOutput = 512              // bytes of what it says that are shown
)

// hookChoice is the commands that are run when a link changes, each a program and its
// arguments; nil: none.
type hookChoice struct {
	Up, Down, Path []string
}

// parse reads --on-up, --on-down and --on-path-change.
func (h *hookChoice) parse(c *ucli.Context, links bool, faults *cli.Faults) {
	for _, o := range []struct {
		name string
		argv *[]string
	}{{"on-up", &h.Up}, {"on-down", &h.Down}, {"on-path-change", &h.Path}} {
		s, ok := cli.String(c, o.name)
		if !ok {
			continue
		}
		if *o.argv = strings.Fields(s); len(*o.argv) == 0 {
			faults.Addf("--%s was given nothing: type a program and its arguments", o.name)
		} else if !links {
			faults.Addf("--%s is about links, and there is none: give --p2p PEER=DEVICE, too", o.name)
		}
	}
}

// any reports whether there is a hook.
func (h *hookChoice) any() bool { return h.Up != nil || h.Down != nil || h.Path != nil }

// hooks runs the commands that the user has for changes of links: one at a time, in the
// order of the first change, and for each peer only the latest state.
type hooks struct {
	choice hookChoice
	log    *slog.Logger
	wake   chan struct{}
	ran    map[string]bool // peers whose last hook saw a carrier; of run alone

	mu      sync.Mutex
	waiting map[string]control.Peer // by identity
	order   []string
}

func newHooks(choice hookChoice, log *slog.Logger) *hooks {
	return &hooks{choice: choice, log: log, wake: make(chan struct{}, 1), ran: make(map[string]bool), waiting: make(map[string]control.Peer)}
}

// changed notes the state of a link. It does not block. There are as many states at most
// as links.
func (h *hooks) changed(p control.Peer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, waits := h.waiting[p.ID]; !waits {
		h.order = append(h.order, p.ID)
	}
	h.waiting[p.ID] = p
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// next returns the state that has waited for longest.
func (h *hooks) next() (p control.Peer, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.order) == 0 {
		return p, false
	}
	p = h.waiting[h.order[0]]
	delete(h.waiting, h.order[0])
	h.order = slices.Delete(h.order, 0, 1)
	return p, true
}

// run runs hooks until ctx ends.
func (h *hooks) run(ctx context.Context) {
	for ctx.Err() == nil {
		p, ok := h.next()
		if !ok {
			select {
			case <-h.wake:
			case <-ctx.Done():
			}
			continue
		}
		h.tell(ctx, p)
	}
}

// tell runs the hooks for the state of a link.
func (h *hooks) tell(ctx context.Context, p control.Peer) {
	switch was := h.ran[p.ID]; {
	case p.Link.Carrier && !was:
		h.ran[p.ID] = true
		h.call(ctx, "--on-up", h.choice.Up, p)
	case !p.Link.Carrier && was:
		delete(h.ran, p.ID)
		h.call(ctx, "--on-down", h.choice.Down, p)
	}
	h.call(ctx, "--on-path-change", h.choice.Path, p)
}

// call runs a command. What it prints is shown when it fails.
func (h *hooks) call(ctx context.Context, option string, argv []string, p control.Peer) {
	if argv == nil {
		return
	}
	limited, cancel := context.WithTimeout(ctx, hookTime)
	defer cancel()
	cmd := exec.CommandContext(limited, argv[0], argv[1:]...)
	cmd.Env, cmd.WaitDelay = hookEnvironment(os.Environ(), p), hookGrace
	var said clipped
	cmd.Stdout, cmd.Stderr = &said, &said
	err := cmd.Run()
	if err == nil || ctx.Err() != nil {
		return
	}
	if errors.Is(limited.Err(), context.DeadlineExceeded) {
		err = errors.New("stopped after " + hookTime.String() + " without an end")
	}
	h.log.Warn("a hook failed", "option", option, "program", argv[0], "device", p.Link.Device, "err", err, "said", format.Printable(string(said.kept)))
}

// hookEnvironment returns what a hook is told, beside the environment of the edge without
// what may be a key.
func hookEnvironment(env []string, p control.Peer) []string {
	env = slices.DeleteFunc(slices.Clone(env), func(s string) bool {
		return strings.HasPrefix(s, "EDGE_") || strings.HasPrefix(s, "N2N_") || strings.HasPrefix(s, "CREDENTIALS_DIRECTORY=")
	})
	state, rtt, loss := "down", "", ""
	if p.Link.Carrier {
		state = "up"
	}
	if p.RTTms != nil {
		rtt = strconv.FormatFloat(*p.RTTms, 'f', 1, 64)
	}
	if p.Loss != nil {
		loss = strconv.FormatFloat(*p.Loss, 'f', 2, 64)
	}
	return append(env,
		"HEDGEROW_PEER="+format.Printable(p.Name), "HEDGEROW_ID="+p.ID, "HEDGEROW_DEVICE="+p.Link.Device, "HEDGEROW_STATE="+state,
		"HEDGEROW_PATH="+string(p.Path), "HEDGEROW_RTT_MS="+rtt, "HEDGEROW_LOSS="+loss, "HEDGEROW_COST="+strconv.Itoa(p.Link.Cost))
}

// clipped keeps the beginning of what is written to it.
type clipped struct{ kept []byte }

func (c *clipped) Write(b []byte) (int, error) {
	c.kept = append(c.kept, b[:min(len(b), hookOutput-len(c.kept))]...)
	return len(b), nil
}
