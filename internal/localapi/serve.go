package localapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/net/netutil"
)

const (
	// socketMode admits the owner and the group only.
	socketMode = 0o660
	// maxPath is the room that the kernel has for the path of a Unix socket
	// (sun_path), without the final zero byte: 108 on Linux, 104 elsewhere.
	maxPath = 103
	// aliveTimeout bounds the question whether a socket file has a listener.
	aliveTimeout = time.Second
	// headerTimeout bounds how long a local client may dawdle over a request.
	headerTimeout = 5 * time.Second
	// idleTimeout closes a connection that a client keeps open.
	idleTimeout = 30 * time.Second
	// headerBytes bounds the memory of a request's header.
	headerBytes = 16 << 10
	// drainTimeout bounds how long Close waits for running answers.
	drainTimeout = time.Second
)

// Serve listens on a Unix socket at path and answers with h until ctx ends;
// then it removes the socket and returns nil. It creates the socket's
// directory when that is missing. The errors are those of Listen.
func Serve(ctx context.Context, path string, h http.Handler) error {
	l, err := Listen(path)
	if err != nil {
		return err
	}
	return ServeListener(ctx, l, h)
}

// ServeListener answers on l with h until ctx ends. It closes l, and has
// joined its goroutines when it returns.
func ServeListener(ctx context.Context, l net.Listener, h http.Handler) error {
	return answer(ctx, l, &http.Server{Handler: h})
}

const (
	// openConnections is how many connections ServeOpen has at a time: a monitor or two.
	openConnections = 16
	// openTimeout bounds how long a client may take over a request, and over the answer.
	openTimeout = 10 * time.Second
)

// ServeOpen is ServeListener for a port that others than the user may reach. Whoever
// connects gets one of 16 places, and has 10 s for each request and its answer.
func ServeOpen(ctx context.Context, l net.Listener, h http.Handler) error {
	return answer(ctx, netutil.LimitListener(l, openConnections), &http.Server{
		Handler: h, ReadTimeout: openTimeout, WriteTimeout: openTimeout, ErrorLog: log.New(io.Discard, "", 0), // of what strangers do
	})
}

// answer answers on l by srv until ctx ends.
func answer(ctx context.Context, l net.Listener, srv *http.Server) error {
	srv.ReadHeaderTimeout, srv.IdleTimeout, srv.MaxHeaderBytes = headerTimeout, idleTimeout, headerBytes
	// Requests must see the end of ctx, or Shutdown would wait for them.
	srv.BaseContext = func(net.Listener) context.Context { return ctx }
	srv.ConnContext = withCaller
	drained := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(drained)
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
		defer cancel()
		if srv.Shutdown(limit) != nil {
			_ = srv.Close()
		}
	})
	err := srv.Serve(l)
	if !stop() {
		<-drained
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	_ = l.Close()
	return fmt.Errorf("serve %s: %w", l.Addr(), err)
}

// Listen makes a Unix socket at path with mode 0660 and listens on it. A
// socket file that a dead process left behind is replaced; one with a living
// listener is ErrInUse, and a file that is no socket is an error that
// satisfies errors.Is(err, fs.ErrExist). Closing the listener removes the file.
func Listen(path string) (*Listener, error) {
	if err := clear(path); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("make the directory of the control socket: %w", err)
	}
	// The socket is born under a name of our own and moved once its mode is
	// right. The process id keeps two starting processes apart.
	birth := path + "." + strconv.Itoa(os.Getpid())
	if len(birth) > maxPath {
		return nil, fmt.Errorf("the path of the control socket is too long, the kernel allows about %d bytes: %s", maxPath-8, path)
	}
	_ = os.Remove(birth)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: birth, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen on the control socket: %w", err)
	}
	l.SetUnlinkOnClose(false) // it would remove the name of birth
	if err := publish(birth, path); err != nil {
		_ = l.Close()
		_ = os.Remove(birth)
		return nil, fmt.Errorf("publish the control socket: %w", err)
	}
	return newListener(l, path), nil
}

// publish sets the socket's mode and gives it its name.
func publish(birth, path string) error {
	if err := os.Chmod(birth, socketMode); err != nil {
		return err
	}
	return os.Rename(birth, path)
}

// clear reports whether a socket may be made at path.
func clear(path string) error {
	st, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at the control socket: %w", err)
	}
	if st.Mode().Type() != fs.ModeSocket {
		return &fs.PathError{Op: "make a control socket", Path: path, Err: fs.ErrExist}
	}
	c, err := net.DialTimeout("unix", path, aliveTimeout)
	if err == nil {
		_ = c.Close()
		return fmt.Errorf("%w: %s", ErrInUse, path)
	}
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist) {
		return nil // left behind: the rename replaces it
	}
	return fmt.Errorf("look at the control socket: %w", err)
}

// Listener is a control socket. It removes its file when it is closed, and no other one that
// has come in its place.
type Listener struct {
	*net.UnixListener
	path  string
	file  fs.FileInfo // that is at path; nil: that is not known
	leave atomic.Bool // the file stays: it is another process's
}

func newListener(l *net.UnixListener, path string) *Listener {
	file, _ := os.Lstat(path)
	return &Listener{UnixListener: l, path: path, file: file}
}

// Path returns where the file of the socket is.
func (l *Listener) Path() string { return l.path }

// Removed reports whether somebody has removed the file of the socket, or put another one in
// its place: nobody who opens that gets here.
func (l *Listener) Removed() bool {
	now, err := os.Lstat(l.path)
	return errors.Is(err, fs.ErrNotExist) || err == nil && l.file != nil && !os.SameFile(now, l.file)
}

// Adopt makes a Listener of a control socket at path that another process has opened.
func Adopt(f *os.File, path string) (*Listener, error) {
	l, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("use the control socket of another process: %w", err)
	}
	u, ok := l.(*net.UnixListener)
	if !ok {
		_ = l.Close()
		return nil, fmt.Errorf("use the control socket of another process: %w", os.ErrInvalid)
	}
	return newListener(u, path), nil
}

// Leave has Close leave the file where it is: another process listens on the socket, too,
// and is the one that stays. Keep undoes it.
func (l *Listener) Leave() { l.leave.Store(true) }

// Keep says that this process is the one that removes the file.
func (l *Listener) Keep() { l.leave.Store(false) }

// Close stops listening and removes the socket's file.
func (l *Listener) Close() error {
	// The file is removed last: in between a caller finds one that refuses, and not one that
	// listens without its file, which would say that somebody else has removed that.
	err := l.UnixListener.Close()
	if !l.leave.Load() && !l.Removed() {
		_ = os.Remove(l.path)
	}
	return err
}
