package upgrade

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"time"

	"hedgerow/internal/handover"
	"hedgerow/internal/localapi"
	"hedgerow/internal/service"
)

// Silence is how long a successor may say nothing.
const Silence = 5 * time.Second

// Config is what is replaced, and how.
type Config struct {
	Program  string // what the user calls it
	Variable string // of the environment, by which the successor learns of the hand-over
	Service  *service.Service
	Log      *slog.Logger
	// Files returns what a successor inherits beside what the service has. It is closed
	// afterwards, also after an error.
	Files func() ([]handover.Named, error)
	// HandOver stops everything, calls give with the state, and ends this program if that
	// succeeds. After an error everything goes on.
	HandOver func(give func(state []byte) error) error
	// Count says how many sessions and edges there are.
	Count func() (sessions, edges int)
}

// Upgrader replaces this process by another one.
type Upgrader struct {
	cfg Config

	acting sync.RWMutex // held for reading by what changes something, and for one upgrade

	mu        sync.Mutex          // held for one upgrade
	successor *handover.Successor // nil: there is none, or none yet
}

// New returns an upgrader.
func New(cfg Config) *Upgrader { return &Upgrader{cfg: cfg} }

// Beside returns a handler that does upgrades beside what h does. What would change
// something meanwhile is refused: it would be done here, and a successor would not know.
func (u *Upgrader) Beside(h http.Handler) http.Handler {
	return handle(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			if !u.acting.TryRLock() {
				localapi.Refuse(w, errUpgrading)
				return
			}
			defer u.acting.RUnlock()
		}
		h.ServeHTTP(w, r)
	}), u.upgrade)
}

// errUpgrading says that it is not the time for an upgrade.
var errUpgrading = errors.New("an upgrade is under way: ask again in some seconds")

// upgrade is the action of the control socket. After an error this process serves on.
func (u *Upgrader) upgrade(ctx context.Context, asked Request) (done Done, err error) {
	if uid, known := localapi.Caller(ctx); known && uid != 0 && uid != os.Geteuid() {
		return done, fmt.Errorf("only root and the user of the %s may replace it", u.cfg.Program)
	}
	if err := service.Replaceable(); err != nil {
		return done, err
	}
	if !u.mu.TryLock() {
		return done, errUpgrading
	}
	defer u.mu.Unlock()
	if u.successor != nil {
		return done, errUpgrading
	}
	if asked.Binary == "" {
		if asked.Binary, err = os.Executable(); err != nil {
			return done, fmt.Errorf("where this program is: %w", err)
		}
	}
	u.acting.Lock() // for good, if it succeeds
	if done, err = u.replace(asked.Binary); err != nil {
		u.acting.Unlock()
		u.cfg.Log.Warn("the upgrade has failed, and this process serves on", "err", err)
		return done, fmt.Errorf("%w. The running %s serves on as before", err, u.cfg.Program)
	}
	u.cfg.Log.Info("another process serves now", "pid", done.Pid, "version", done.Version)
	return done, nil
}

// replace starts a successor and hands over to it.
func (u *Upgrader) replace(binary string) (done Done, err error) {
	files, err := u.files()
	defer func() {
		for _, f := range files {
			_ = f.File.Close()
		}
	}()
	if err != nil {
		return done, err
	}
	next, err := handover.Start(handover.Offer{
		Binary: binary, Args: os.Args, Variable: u.cfg.Variable, Files: files, Silence: Silence,
	})
	if err != nil {
		return done, err
	}
	var stopped time.Time
	err = u.cfg.HandOver(func(state []byte) error {
		stopped = time.Now()
		return next.Give(state)
	})
	if err != nil {
		next.End()
		return done, err
	}
	u.successor = next
	u.cfg.Service.HandedOver(next.Pid())
	done = Done{Pid: next.Pid(), Version: next.Release, PauseS: time.Since(stopped).Seconds()}
	done.Sessions, done.Edges = u.cfg.Count()
	return done, nil
}

// files returns what a successor inherits.
func (u *Upgrader) files() ([]handover.Named, error) {
	files, err := u.cfg.Files()
	if err != nil {
		return files, err
	}
	more, err := u.cfg.Service.Files()
	return append(files, more...), err
}

// LetGo tells a successor, if there is one, that this process has closed its files.
func (u *Upgrader) LetGo() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.successor != nil {
		u.successor.LetGo()
	}
}
