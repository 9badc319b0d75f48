package vmgen

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"

	"golang.org/x/sys/unix"
)

// WatchSet calls set whenever the wall clock was set, and when this machine goes on after a
// suspension, until ctx ends, and returns nil then. It calls it from its own goroutine. The
// error says that the system does not tell (timerfd_create(2), TFD_TIMER_CANCEL_ON_SET).
func WatchSet(ctx context.Context, set func()) error {
	fd, err := unix.TimerfdCreate(unix.CLOCK_REALTIME, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return fmt.Errorf("cannot watch the clock: %w", err)
	}
	file := os.NewFile(uintptr(fd), "clock")
	defer file.Close()
	never := unix.ItimerSpec{Value: unix.Timespec{Sec: math.MaxInt32}}
	if err := unix.TimerfdSettime(fd, unix.TFD_TIMER_ABSTIME|unix.TFD_TIMER_CANCEL_ON_SET, &never, nil); err != nil {
		return fmt.Errorf("cannot watch the clock: %w", err)
	}
	defer context.AfterFunc(ctx, func() { _ = file.Close() })()
	for expirations := make([]byte, 8); ; {
		_, err := file.Read(expirations)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && !errors.Is(err, unix.ECANCELED):
			return err
		}
		set()
	}
}
