package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"hedgerow/edge/control"
	"hedgerow/internal/cli"
	"hedgerow/internal/printed"
	"hedgerow/internal/upgrade"
)

// asRoot skips a test that needs the superuser and a device node.
func asRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		t.Skip("needs /dev/net/tun")
	}
}

// eventually waits until ok, as something happens in another process.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// startInNetns starts the command in a network namespace of its own, so that
// its devices touch nobody.
func startInNetns(t *testing.T, args ...string) (*exec.Cmd, *printed.Text) {
	t.Helper()
	out := new(printed.Text)
	cmd := exec.Command(binary, args...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	cmd.WaitDelay = 10 * time.Second // a process that follows it may have its output
	if err := cmd.Start(); err != nil {
		t.Skipf("no network namespace here: %v", err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	return cmd, out
}

// TestProcess runs an edge whose supernode is nowhere, asks it, and ends it.
func TestProcess(t *testing.T) {
	asRoot(t)
	dir := t.TempDir()
	socket := filepath.Join(dir, "edge.sock")
	args := []string{"-c", "mynetwork", "-k", "s3cret-word", "-l", "127.0.0.1:9", "--state-dir", dir, "--control", socket, "-a", "static:10.1.2.1/24"}
	cmd, out := startInNetns(t, args...)
	eventually(t, "the socket", func() bool { _, err := os.Stat(socket); return err == nil })

	cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", cmd.Process.Pid))
	if err != nil || bytes.Contains(cmdline, []byte("s3cret")) || !bytes.Contains(cmdline, []byte("\x00-k\x00***********\x00-l\x00")) {
		t.Errorf("the list of processes shows %q, %v", cmdline, err)
	}

	var st control.Status
	eventually(t, "the status", func() bool {
		text, err := exec.Command(binary, "status", "--json", "--control", socket).Output()
		return err == nil && json.Unmarshal(text, &st) == nil
	})
	if st.Community != "mynetwork" || st.Device != "edge0" || st.MTU != 1370 || len(st.Supernodes) != 1 {
		t.Errorf("status: %+v", st)
	}
	text, err := exec.Command(binary, "peers", "--json", "--control", socket).Output()
	if err != nil || string(text) != "[]\n" {
		t.Errorf("peers: %q, %v", text, err)
	}
	text, err = exec.Command(binary, "keys", "--control", socket).Output()
	if err != nil || !strings.Contains(string(text), "active      index 0") {
		t.Errorf("keys: %q, %v", text, err)
	}

	_ = cmd.Process.Signal(syscall.SIGUSR1)
	eventually(t, "the state in the log", func() bool { return strings.Contains(out.String(), "state community=mynetwork device=edge0") })
	_ = cmd.Process.Signal(syscall.SIGHUP) // nothing to read anew, and no end either

	port, err := os.ReadFile(filepath.Join(dir, "mynetwork", portFile))
	if err != nil || len(port) < 2 {
		t.Errorf("the port was not kept: %q, %v", port, err)
	}
	_ = cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v; %s", err, out)
	}
	if _, err := os.Stat(socket); err == nil {
		t.Error("the control socket is still there")
	}
	for _, want := range []string{
		"edge " + cli.Release + `  community "mynetwork"  device edge0 (TAP, mac ` + st.MAC + ", mtu 1370)\n",
		"identity   " + st.ID + " (new, saved in " + filepath.Join(dir, "mynetwork", identityFile) + ")\n",
		"warning: the key was on the command line",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q does not say %q", out, want)
		}
	}
	if strings.Contains(out.String(), "s3cret") {
		t.Errorf("the key is shown: %q", out)
	}

	// The second start finds identity and port again, and the next free device.
	again, out := startInNetns(t, args...)
	eventually(t, "the second start", func() bool { return strings.Contains(out.String(), "identity   ") })
	if want := "identity   " + st.ID + " (from "; !strings.Contains(out.String(), want) {
		t.Errorf("%q does not say %q", out, want)
	}
	if after, _ := os.ReadFile(filepath.Join(dir, "mynetwork", portFile)); !bytes.Equal(port, after) {
		t.Errorf("the port changed from %q to %q", port, after)
	}
	_ = again.Process.Signal(syscall.SIGINT)
	if err := again.Wait(); err != nil {
		t.Errorf("after SIGINT: %v; %s", err, out)
	}
}

// TestMissingDevice hides the device node, or takes the right to use it.
func TestMissingDevice(t *testing.T) {
	asRoot(t)
	if _, err := exec.LookPath("unshare"); err != nil {
		t.Skip("needs unshare")
	}
	if _, err := exec.LookPath("setpriv"); err != nil {
		t.Skip("needs setpriv")
	}
	// "$@" is the command line of the edge.
	inside := func(script string) []string { return []string{"unshare", "-m", "-n", "sh", "-c", script, "sh"} }
	const nobody = `exec setpriv --reuid 65534 --regid 65534 --clear-groups "$@"`
	open := t.TempDir()
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	// The directories above are the test's own, which nobody else may enter.
	if err := os.Chmod(filepath.Dir(open), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		script string
		want   string
	}{
		{"E01", `mount -t tmpfs none /dev/net && exec "$@"`, "cannot open /dev/net/tun: it does not exist."},
		{"E02", `mount -t tmpfs -o mode=755 none /dev/net && mknod -m 666 /dev/net/tun c 10 200 && ` + nobody, "not allowed to create edge0: needs CAP_NET_ADMIN."},
		{"E03", `mount -t tmpfs -o mode=755 none /dev/net && mknod -m 600 /dev/net/tun c 10 200 && ` + nobody, "no permission on /dev/net/tun (mode 0600, root)."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, errs, code := invocation{
				wrap: inside(tt.script),
				args: []string{"-c", "n", "-l", "127.0.0.1:9", "--state-dir", filepath.Join(open, tt.name), "--control", filepath.Join(open, tt.name+".sock")},
				env:  []string{"EDGE_KEY=x"},
			}.run(t)
			if code != int(cli.Permission) || !strings.Contains(errs, tt.want) || !strings.Contains(errs, "["+tt.name+"]\n") {
				t.Errorf("exit code %d, %q, want %q", code, errs, tt.want)
			}
		})
	}
}

// TestReadOnlyState: an edge that was here before starts where nothing can be written any more,
// as after an error of the disk; one that was not says what is so and what to do.
func TestReadOnlyState(t *testing.T) {
	asRoot(t)
	if _, err := exec.LookPath("unshare"); err != nil {
		t.Skip("needs unshare")
	}
	dir := t.TempDir()
	start := func(script, community string) (string, int) {
		_, errs, code := invocation{
			// The device is missing, so that every start has an end.
			wrap: []string{"unshare", "-m", "-n", "sh", "-c", `mount -t tmpfs none /dev/net && ` + script + `exec "$@"`, "sh"},
			args: []string{"-c", community, "-l", "127.0.0.1:9", "--state-dir", dir, "--control", filepath.Join(t.TempDir(), "edge.sock")},
			env:  []string{"EDGE_KEY=x"},
		}.run(t)
		return errs, code
	}
	const missing = "cannot open /dev/net/tun: it does not exist."
	readOnly := fmt.Sprintf("mount --bind %[1]s %[1]s && mount -o remount,bind,ro %[1]s && ", dir)
	if errs, code := start("", "here"); code != int(cli.Permission) || !strings.Contains(errs, missing) {
		t.Fatalf("the first start: %d, %s", code, errs)
	}
	if errs, code := start(readOnly, "here"); code != int(cli.Permission) || !strings.Contains(errs, missing) {
		t.Errorf("with its state: %d, %s", code, errs)
	}
	if errs, code := start(readOnly, "new"); code != int(cli.Failure) || !strings.Contains(errs, "read-only") || !strings.Contains(errs, "--state-dir DIR") || !strings.Contains(errs, "[E46]") {
		t.Errorf("without a state: %d, %s", code, errs)
	}
}

// TestUpgrade replaces an edge whose key was typed: the next process has it, although nobody
// can read it in the list of processes or in its environment, and is the same edge. Programs
// that cannot take over are named, and one that is started as if another one handed over to it.
func TestUpgrade(t *testing.T) {
	asRoot(t)
	dir := t.TempDir()
	socket := filepath.Join(dir, "edge.sock")
	cmd, out := startInNetns(t, "-c", "mynetwork", "-k", "s3cret-word", "-l", "127.0.0.1:9", "--state-dir", dir, "--control", socket, "-a", "static:10.1.2.1/24")
	eventually(t, "the socket", func() bool { _, err := os.Stat(socket); return err == nil })
	status := func() (st control.Status) {
		eventually(t, "the status", func() bool {
			text, err := exec.Command(binary, "status", "--json", "--control", socket).Output()
			return err == nil && json.Unmarshal(text, &st) == nil
		})
		return st
	}
	before := status()
	for path, says := range map[string]string{"/bin/false": "ended before it was ready (exit status 1)", filepath.Join(dir, "none"): "cannot be started: no such file or directory"} {
		said, err := exec.Command(binary, "upgrade", "--binary", path, "--control", socket).CombinedOutput()
		if err == nil || !strings.Contains(string(said), says+". The running edge serves on as before") {
			t.Errorf("%s: %v, %s", path, err, said)
		}
	}
	text, err := exec.Command(binary, "upgrade", "--json", "--control", socket).CombinedOutput()
	var done upgrade.Done
	if err != nil || json.Unmarshal(text, &done) != nil || done.Pid == cmd.Process.Pid || done.Version != cli.Release {
		t.Fatalf("%v, %s\n%s", err, text, out)
	}
	next, err := os.FindProcess(done.Pid)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = next.Kill() })                                 // before cmd.Wait, which waits for its output, too
	if state, err := cmd.Process.Wait(); err != nil || !state.Success() { // cmd.Wait waits for the output of the next one, too
		t.Errorf("the process before: %v, %v", state, err)
	}
	for _, file := range []string{"cmdline", "environ"} {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", done.Pid, file))
		if err != nil || bytes.Contains(b, []byte("s3cret")) {
			t.Errorf("%s shows %q, %v", file, b, err)
		}
	}
	if after := status(); after.ID != before.ID || after.MAC != before.MAC || after.Device != before.Device || !slices.Equal(after.Prefixes, before.Prefixes) || after.UptimeS < before.UptimeS {
		t.Errorf("the edge is %+v and was %+v", after, before)
	}
	if err := syscall.Kill(done.Pid, syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	eventually(t, "the end", func() bool { _, err := os.Stat(socket); return err != nil })

	alone := exec.Command(binary, "-c", "mynetwork", "-k", "x", "-l", "127.0.0.1:9", "--state-dir", dir)
	alone.Env = append(os.Environ(), handoverVariable+"="+strings.Repeat("udp,", 2000))
	if said, err := alone.CombinedOutput(); err == nil || !strings.Contains(string(said), "EDGE_HANDOVER is set, and no process hands over to this one: it is for 'edge upgrade' alone") {
		t.Errorf("%v, %s", err, said)
	}
}

// TestConfiguredProcess runs an edge that has everything from a file.
func TestConfiguredProcess(t *testing.T) {
	asRoot(t)
	dir := t.TempDir()
	socket := filepath.Join(dir, "edge.sock")
	file := writeFile(t, "net.toml", fmt.Sprintf(`
community = "mynetwork"
key = "s3cret-word of several"
supernode = ["127.0.0.1:9"]
state-dir = %q
control = %q
address = "static:10.1.2.1/24"
mtu = 1400
`, dir, socket), 0o600)
	cmd, out := startInNetns(t, file)
	var st control.Status
	eventually(t, "the status", func() bool {
		text, err := exec.Command(binary, "status", "--json", "--control", socket).Output()
		return err == nil && json.Unmarshal(text, &st) == nil
	})
	if st.Community != "mynetwork" || st.MTU != 1400 || len(st.Supernodes) != 1 {
		t.Errorf("status: %+v", st)
	}
	_ = cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v; %s", err, out)
	}
	if s := out.String(); strings.Contains(s, "command line") || strings.Contains(s, "s3cret") {
		t.Errorf("it says %s", s)
	}
}
