package service

import (
	"errors"
	"net"
	"os"
	"strconv"
	"strings"
)

// Replaceable says why this process cannot be replaced by another one, nil if it can: whoever
// started it would take its end for that of the service, and end the other one, too.
func Replaceable() error {
	pid := os.Getpid()
	switch {
	case pid == 1:
		return errors.New("this is the first process of a container, which ends with it: start the container anew")
	case os.Getenv("SYSTEMD_EXEC_PID") == strconv.Itoa(pid) && os.Getenv("NOTIFY_SOCKET") == "": // systemd.exec(5)
		return errors.New("systemd would take the end of this process for that of the service: put NotifyAccess=main into the [Service] section of its unit, and restart it once")
	}
	return nil
}

// Notify tells the service manager something about this process, such as "READY=1" or
// "MAINPID=7" (sd_notify(3)), if one wants to know: it has set NOTIFY_SOCKET then. That it
// cannot be told is no reason not to run.
func Notify(state string) {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return
	}
	if strings.HasPrefix(path, "@") { // Linux's abstract namespace
		path = "\x00" + path[1:]
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return
	}
	defer c.Close()
	_, _ = c.Write([]byte(state))
}
