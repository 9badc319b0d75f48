package handover

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// firstFile is the first descriptor that a successor inherits: the connection. The files
// follow, as the value of the variable names them.
const firstFile = 3

// filesMost bounds how many files are inherited.
const filesMost = 1 << 10

// Predecessor is the process that this one is to take over from.
type Predecessor struct {
	conn  *net.UnixConn
	files map[string][]*os.File
	letGo chan struct{}
}

var errNobody = errors.New("no process hands over to this one")

// Inherit returns the predecessor that has started this process, by what the variable of
// Offer says, and takes the files from it. The error says that nobody has: somebody else
// has set the variable.
func Inherit(names string) (*Predecessor, error) {
	list := strings.Split(names, ",")
	if len(list) > filesMost {
		return nil, errNobody
	}
	p := &Predecessor{files: make(map[string][]*os.File), letGo: make(chan struct{})}
	conn, err := inherited(firstFile, "predecessor")
	if err == nil {
		p.conn, err = connOf(conn)
	}
	for i := 0; i < len(list) && err == nil && names != ""; i++ {
		var f *os.File
		if f, err = inherited(firstFile+1+i, list[i]); err == nil {
			p.files[list[i]] = append(p.files[list[i]], f)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNobody, err)
	}
	return p, nil
}

// inherited returns an open descriptor, which our own children do not inherit.
func inherited(fd int, name string) (*os.File, error) {
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, unix.FD_CLOEXEC); err != nil {
		return nil, fmt.Errorf("descriptor %d (%s): %w", fd, name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// Take returns the next file of a name, which is the caller's; nil if there is none.
func (p *Predecessor) Take(name string) *os.File {
	list := p.files[name]
	if len(list) == 0 {
		return nil
	}
	p.files[name] = list[1:]
	return list[0]
}

// CloseFiles closes the files that nobody has taken.
func (p *Predecessor) CloseFiles() {
	for _, list := range p.files {
		for _, f := range list {
			_ = f.Close()
		}
	}
	p.files = nil
}

// State says that this process, of a release, is ready, and returns the state once the
// predecessor has stopped.
func (p *Predecessor) State(release string) ([]byte, error) {
	if err := send(p.conn, kindReady, append(binary.BigEndian.AppendUint16(nil, version), release...)); err != nil {
		return nil, fmt.Errorf("take over: %w", err)
	}
	kind, body, err := receive(p.conn)
	if err == nil && kind != kindState {
		err = errMessage
	}
	if err != nil {
		return nil, fmt.Errorf("take over: %w", err)
	}
	return body, nil
}

// errLate says that the predecessor goes on.
var errLate = errors.New("the process that was to hand over did not wait: it goes on")

// Taken says that this process serves from now on. After an error it must not: the
// predecessor does.
func (p *Predecessor) Taken() error {
	if err := send(p.conn, kindTaken, nil); err != nil {
		return errLate
	}
	go func() {
		defer close(p.letGo)
		defer p.conn.Close()
		_, _, _ = receive(p.conn) // nothing comes any more but the end
	}()
	return nil
}

// LetGo returns what is closed once the predecessor, after Taken, has let go of what two
// processes cannot have.
func (p *Predecessor) LetGo() <-chan struct{} { return p.letGo }

// Fail tells the predecessor why this process does not take over.
func (p *Predecessor) Fail(why error) {
	text := why.Error()
	_ = send(p.conn, kindFailed, []byte(text[:min(len(text), textMost)]))
	_ = p.conn.Close()
}
