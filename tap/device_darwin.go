package tap

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"regexp"
	"strconv"
	"syscall"

	"github.com/songgao/water"
)

const (
	maxName         = MaxName
	forbiddenInName = "/:% \t"
)

// tapName matches the devices that tuntaposx makes.
var tapName = regexp.MustCompile(`^tap([0-9]|1[0-5])$`)

// openWater opens the device through the tuntaposx kernel extension. It looks
// for the device first, since water leaks a descriptor when an open fails late.
func openWater(cfg Config) (*water.Interface, error) {
	if !tapName.MatchString(cfg.Name) {
		return nil, &OpenError{Sentence: fmt.Sprintf("%s cannot be a TAP device on macOS: they are named tap0 to tap15. Use -d tap0.", cfg.Name)}
	}
	if _, err := os.Stat("/dev/" + cfg.Name); err != nil {
		return nil, &OpenError{Code: "E01", Errno: errnoOf(err), Sentence: fmt.Sprintf("cannot open /dev/%s: it does not exist. macOS has no TAP device of its own; this needs the tuntaposx kernel extension, which recent macOS no longer loads.", cfg.Name)}
	}
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	ifce, err := water.New(water.Config{
		DeviceType: water.TAP,
		PlatformSpecificParams: water.PlatformSpecificParams{
			Name:   cfg.Name,
			Driver: water.MacOSDriverTunTapOSX,
		},
	})
	if err != nil {
		return nil, explainDarwin(cfg.Name, errnoOf(err), err)
	}
	if file, ok := ifce.ReadWriteCloser.(*os.File); ok {
		if conn, err := file.SyscallConn(); err == nil {
			_ = conn.Control(func(fd uintptr) { syscall.CloseOnExec(int(fd)) })
		}
	}
	return ifce, nil
}

// explainDarwin puts a failed open into words.
func explainDarwin(name string, errno syscall.Errno, err error) *OpenError {
	e := &OpenError{Errno: errno}
	switch errno {
	case syscall.EACCES, syscall.EPERM:
		e.Code, e.Sentence = "E03", fmt.Sprintf("no permission on /dev/%s. Run with sudo.", name)
	case syscall.EBUSY:
		e.Code, e.Sentence = "E04", fmt.Sprintf("%s is already in use by another process. Choose another -d name.", name)
	default:
		e.Sentence = fmt.Sprintf("cannot open /dev/%s: %v.", name, err)
	}
	return e
}

// setUp sets the interface's MAC, sets it up, and sets its MTU.
func (d *Device) setUp() error {
	name := d.cfg.Name
	var steps [][]string
	if d.cfg.MAC != ([6]byte{}) {
		steps = append(steps, []string{"ifconfig", name, "lladdr", net.HardwareAddr(d.cfg.MAC[:]).String()})
	}
	steps = append(steps,
		[]string{"ifconfig", name, "mtu", strconv.Itoa(d.cfg.MTU)},
		[]string{"ifconfig", name, "up"})
	for _, step := range steps {
		if err := run(step); err != nil {
			return &OpenError{Sentence: fmt.Sprintf("cannot set up %s: %v.", name, err)}
		}
	}
	mac, err := d.currentMAC()
	if err != nil {
		return &OpenError{Errno: errnoOf(err), Sentence: fmt.Sprintf("cannot read the MAC of %s: %v.", name, err)}
	}
	d.cfg.MAC = mac
	return nil
}

// addressCommand is ifconfig's command to add or remove an address.
func addressCommand(name string, p netip.Prefix, add bool) []string {
	family := "inet"
	if p.Addr().Is6() {
		family = "inet6"
	}
	if add {
		return []string{"ifconfig", name, family, p.String(), "alias"}
	}
	return []string{"ifconfig", name, family, p.Addr().String(), "-alias"}
}
