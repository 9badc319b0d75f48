package service

import (
	"strconv"

	"hedgerow/internal/cli"
	"hedgerow/internal/handover"
	"hedgerow/internal/localapi"
)

// The names under which the lock and the control socket are handed over.
const (
	lockFile    = "lock"
	controlFile = "control"
)

// Files returns what another process needs to hold the state directory and the control
// socket beside this one. Nobody else gets hold of either meanwhile.
func (s *Service) Files() ([]handover.Named, error) {
	lock, err := handover.Copy(s.lock, lockFile)
	if err != nil {
		return nil, err
	}
	control, err := handover.Copy(s.control, controlFile)
	if err != nil {
		_ = lock.Close()
		return nil, err
	}
	return []handover.Named{{Name: lockFile, File: lock}, {Name: controlFile, File: control}}, nil
}

// HandedOver says that another process has them now: the control socket stays where it is
// when this one closes it. The service manager is told by this one, since it need not
// believe another (NotifyAccess=main).
func (s *Service) HandedOver(pid int) {
	s.control.Leave()
	Notify("MAINPID=" + strconv.Itoa(pid))
}

// Inherit takes the state directory and the control socket from a predecessor. The
// arguments are those of OpenControl.
func (s *Service) Inherit(p *handover.Predecessor, place cli.Place, path, name string) error {
	s.inherited = true
	lock, control := p.Take(lockFile), p.Take(controlFile)
	if lock == nil || control == nil {
		return cli.Errorf(cli.Failure, "", "the state directory or the control socket was not handed over")
	}
	s.holdLock(lock)
	defer control.Close()
	path, err := controlPath(place, path, name)
	if err != nil {
		return err
	}
	l, err := localapi.Adopt(control, path)
	if err != nil {
		return cli.Errorf(cli.Failure, "", "%w", err)
	}
	l.Leave() // until it is ours
	s.holdControl(l)
	return nil
}

// Own says that what was inherited is this process's alone from now on.
func (s *Service) Own() {
	cli.SignLock(s.lock)
	s.control.Keep()
}
