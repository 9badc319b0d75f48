package supernode

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
)

// stuckLog is a log that takes nothing before it may.
type stuckLog struct {
	may  chan struct{} // closed when it may
	said bytes.Buffer
}

func (l *stuckLog) Write(b []byte) (int, error) {
	<-l.may
	return l.said.Write(b)
}

// TestDebugLinesWaitForNobody: whoever has a debug line waits for no log, and all lines for
// which there is room are written in their order.
func TestDebugLinesWaitForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		open, shut := make(chan struct{}), make(chan struct{})
		close(open)
		out := stuckLog{may: open}
		late := newLateLog()
		log := late.logger(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))).With("program", "test")
		log.Debug("before the start")
		if !strings.Contains(out.said.String(), "before the start") {
			t.Error("a line is late though nobody writes it later")
		}
		ctx, stop := context.WithCancel(context.Background())
		var running sync.WaitGroup
		running.Go(func() { late.run(ctx) })
		synctest.Wait()
		out.may = shut
		log.Debug("first") // which the goroutine takes, and cannot write
		synctest.Wait()
		for range lateLines + 7 {
			log.Debug("more")
		}
		close(shut)
		synctest.Wait()
		log.Debug("after")
		stop()
		running.Wait()
		late.rest()
		said := out.said.String()
		if n := strings.Count(said, "msg=more program=test"); n != lateLines {
			t.Errorf("%d of %d lines are written", n, lateLines)
		}
		if !strings.Contains(said, "lines_left_out=7") {
			t.Error("nothing says that 7 lines are left out")
		}
		if first, last := strings.Index(said, "msg=first"), strings.Index(said, "msg=after"); first < 0 || last < first {
			t.Errorf("the lines at both ends are at %d and %d", first, last)
		}
	})
}
