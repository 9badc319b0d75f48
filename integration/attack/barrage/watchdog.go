package barrage

import (
	"os"
	"runtime/pprof"
	"sync/atomic"
	"time"
)

// watchdog notices that a move does not end: in a bubble nothing else would, until the
// test binary is killed, without a word of what was played.
type watchdog struct {
	after time.Duration   // of processor time
	hung  func(p *player) // is called then; the player goes on
	at    atomic.Pointer[player]
	ended chan struct{}
}

// newWatchdog has to be called outside of a bubble.
func newWatchdog(after time.Duration, hung func(p *player)) *watchdog {
	w := &watchdog{after: after, hung: hung, ended: make(chan struct{})}
	go w.run()
	return w
}

// hung ends the process with the script of a move that does not end.
func hung(p *player) {
	_ = pprof.Lookup("goroutine").WriteTo(os.Stderr, 2)
	panic("barrage: a move does not end; " + hint(&p.script))
}

func (w *watchdog) end()            { close(w.ended) }
func (w *watchdog) watch(p *player) { w.at.Store(p) }

func (w *watchdog) run() {
	for {
		select {
		case <-w.ended:
			return
		case <-time.After(time.Second):
		}
		p := w.at.Load()
		if p == nil {
			continue
		}
		if begun := time.Duration(p.begun.Load()); begun != 0 && processor()-begun > w.after {
			w.hung(p)
		}
	}
}
