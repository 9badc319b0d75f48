package main

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	ucli "github.com/urfave/cli/v2"

	"hedgerow/crypto"
	"hedgerow/edge"
	"hedgerow/edge/bridge"
	"hedgerow/edge/dataplane"
	"hedgerow/edge/underlay"
	"hedgerow/internal/cli"
	"hedgerow/tap"
	"hedgerow/transport"
)

// testCommand returns a command on a machine of its own.
func testCommand(env map[string]string) *command {
	return &command{
		streams:  cli.Streams{In: strings.NewReader(""), Out: new(strings.Builder), Err: new(strings.Builder)},
		place:    cli.Place{Program: program, Root: true, Env: func(name string) string { return env[name] }},
		hostname: func() (string, error) { return "harlem-roof.example", nil },
		machine:  func() string { return "" },
		now:      func() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) },
	}
}

// parse reads a command line as "edge" and "edge run" do and returns what was
// understood, and what was printed about the rest.
func parse(t *testing.T, env map[string]string, args ...string) (o options, errs string, code cli.Code) {
	t.Helper()
	cmd := testCommand(env)
	app := cmd.app()
	app.Action = func(c *ucli.Context) (err error) { o, err = cmd.parseOptions(c); return err }
	app.Commands[0].Action = app.Action
	code = cli.Run(t.Context(), app, append([]string{program}, args...), cmd.streams)
	return o, cmd.streams.Err.(*strings.Builder).String(), code
}

// plain is what a short command line means.
func plain(change func(*options)) options {
	o := options{
		Community:  communityChoice{Name: "mynetwork", Key: keyChoice{kind: keyOption, text: "encryptme", from: "-k"}},
		Supernodes: []edge.Supernode{{Name: "a.b.c.d:7654", Host: "a.b.c.d", Port: 7654}},
		StateDir:   "/var/lib/edge",
		Name:       "harlem-roof",
		Queues:     queueChoice{Count: min(runtime.NumCPU(), defaultQueues)},
	}
	if change != nil {
		change(&o)
	}
	return o
}

func TestOptions(t *testing.T) {
	const short = "-c mynetwork -k encryptme -l a.b.c.d:7654 "
	prefer := func(s string) func(*options) {
		return func(o *options) {
			o.Address = edge.Address{Mode: edge.AddressPrefer, Prefix: netip.MustParsePrefix(s)}
		}
	}
	key := [32]byte{31: 1}
	for _, tt := range []struct {
		name string
		line string
		env  map[string]string
		want options
	}{
		{"n2n's first line", "-a 10.1.2.1 -c mynetwork -k encryptme -l a.b.c.d:7654", nil, plain(prefer("10.1.2.1/24"))},
		{"n2n's second line", "-d n2n0 -c mynetwork -k encryptme -a 10.1.2.2 -l a.b.c.d:7654", nil, plain(func(o *options) {
			prefer("10.1.2.2/24")(o)
			o.Device.Name = "n2n0"
		})},
		{"the least", short, nil, plain(nil)},
		{"with run", short + "run", nil, plain(nil)},
		{"behind run", "run " + short, nil, plain(nil)},
		{"around run", "-c mynetwork -vv run -k encryptme -l a.b.c.d:7654 -v", nil, plain(func(o *options) { o.Log.Verbosity = 3 })},
		{"n2n's DHCP", short + "-a dhcp:0.0.0.0", nil, plain(func(o *options) { o.Address.Mode = edge.AddressNone })},
		{"DHCP", short + "-a dhcp", nil, plain(func(o *options) { o.Address.Mode = edge.AddressNone })},
		{"preferred", short + "-a 10.1.2.1/16", nil, plain(prefer("10.1.2.1/16"))},
		{"static", short + "-a static:10.1.2.1/16", nil, plain(func(o *options) {
			o.Address = edge.Address{Mode: edge.AddressStatic, Prefix: netip.MustParsePrefix("10.1.2.1/16")}
		})},
		{"static without a length", short + "-a static:10.1.2.1", nil, plain(func(o *options) {
			o.Address = edge.Address{Mode: edge.AddressStatic, Prefix: netip.MustParsePrefix("10.1.2.1/24")}
		})},
		{"leases allowed", short + "--allow-lease 8.8.8.0/24 --allow-lease 9.9.9.9/8", nil, plain(func(o *options) {
			o.Address.Allow = []netip.Prefix{netip.MustParsePrefix("8.8.8.0/24"), netip.MustParsePrefix("9.0.0.0/8")}
		})},
		{"sizes of the forwarding database", short + "--fdb-size 4096,1024", nil, plain(func(o *options) { o.Ethernet.Stations = bridge.Size{All: 4096, Behind: 1024} })},
		{"one size of the forwarding database", short + "--fdb-size 4096", nil, plain(func(o *options) { o.Ethernet.Stations = bridge.Size{All: 4096, Behind: 4096} })},
		{"hardware address and MTU", short + "-m 02:00:00:00:00:09 -M 1400", nil, plain(func(o *options) {
			o.Ethernet.MAC, o.Ethernet.MTU = [6]byte{2, 5: 9}, 1400
		})},
		{"a bridge", short + "--bridge br0", nil, plain(func(o *options) {
			o.Device.Bridge = tap.Port{Bridge: "br0"}
			o.Address = edge.Address{Mode: edge.AddressNone, Bare: true}
		})},
		{"a bridge with a rank", short + "--bridge br0 --bridge-priority 7 --stp forward", nil, plain(func(o *options) {
			o.Device.Bridge.Bridge, o.Address = "br0", edge.Address{Mode: edge.AddressNone, Bare: true}
			o.Ethernet.Priority, o.Ethernet.BPDUs = 7, true
			o.Ethernet.MTU = 0
		})},
		{"a bridge and DHCP", short + "--bridge br0 -a dhcp --bridge-force", nil, plain(func(o *options) {
			o.Device.Bridge = tap.Port{Bridge: "br0", Force: true}
			o.Address = edge.Address{Mode: edge.AddressNone, Bare: true}
		})},
		{"a bridge with the address", short + "--bridge br0 --bridge-address --bridge-cost 55 -a 10.1.2.1/16", nil, plain(func(o *options) {
			prefer("10.1.2.1/16")(o)
			o.Device.Bridge = tap.Port{Bridge: "br0", Cost: 55, Address: true}
		})},
		{"links", short + "--p2p 9f3a-71c2-e0b4=mesh0 --p2p 0123456789ABCDEF=mesh1 --p2p auto:m%d", nil, plain(func(o *options) {
			o.Links = linkChoice{Auto: "m%d", Named: []namedLink{
				{Peer: []byte{0x9f, 0x3a, 0x71, 0xc2, 0xe0, 0xb4}, Device: "mesh0"},
				{Peer: []byte{0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef}, Device: "mesh1"},
			}}
		})},
		{"any port", short + "-p 0", nil, plain(func(o *options) { o.Queues.Port = portChoice{Asked: true} })},
		{"one port", short + "-p 50001", nil, plain(func(o *options) { o.Queues.Port = portChoice{Asked: true, Number: 50001} })},
		{"two supernodes, one pinned", short + "-l [2001:db8::1]:7654#" + strings.Repeat("0", 63) + "1", nil, plain(func(o *options) {
			o.Supernodes = append(o.Supernodes, edge.Supernode{Name: "[2001:db8::1]:7654", Host: "2001:db8::1", Port: 7654, Key: &key})
		})},
		{"STUN", short + "--stun stun.example --stun [2001:db8::1]:19302", nil, plain(func(o *options) {
			o.Reach.STUN = []string{"stun.example:3478", "[2001:db8::1]:19302"}
		})},
		{"directories", short + "--state-dir /s --control /c", nil, plain(func(o *options) { o.StateDir, o.Control = "/s", "/c" })},
		{"name, log and clock", short + "--name ana --log-format json --test-clock-offset -50m", nil, plain(func(o *options) {
			o.Name, o.Log.Format, o.Clock = "ana", "json", -50*time.Minute
		})},
		{"long names of options", "--community mynetwork --key encryptme --supernode a.b.c.d:7654 --address 10.1.2.1 --device n2n0 --mac 02:00:00:00:00:09 --mtu 1400 --port 1", nil, plain(func(o *options) {
			prefer("10.1.2.1/24")(o)
			o.Device.Name, o.Ethernet.MAC, o.Ethernet.MTU, o.Queues.Port = "n2n0", [6]byte{2, 5: 9}, 1400, portChoice{Asked: true, Number: 1}
		})},
		{"queues", short + "--tap-backend water --queues 3 --offload vnet=off,gso=off,batch=off", nil, plain(func(o *options) {
			o.Queues = queueChoice{Backend: tap.BackendWater, Count: 3, Without: without{
				device: tap.FeatureVnet, socket: transport.Options{NoGSO: true, NoBatch: true}, batch: true,
			}}
		})},
		{"environment", "-l a.b.c.d:7654", map[string]string{"EDGE_COMMUNITY": "mynetwork", "EDGE_KEY": "fromenv"}, plain(func(o *options) {
			o.Community.Key = keyChoice{kind: keyEnvironment, text: "fromenv", from: "EDGE_KEY"}
		})},
		{"n2n's environment", "-l a.b.c.d:7654", map[string]string{"N2N_COMMUNITY": "mynetwork", "N2N_KEY": "fromenv"}, plain(func(o *options) {
			o.Community.Key = keyChoice{kind: keyEnvironment, text: "fromenv", from: "N2N_KEY"}
		})},
		{"ours before n2n's", "-l a.b.c.d:7654", map[string]string{"EDGE_COMMUNITY": "mynetwork", "N2N_COMMUNITY": "x", "EDGE_KEY": "ours", "N2N_KEY": "theirs"}, plain(func(o *options) {
			o.Community.Key = keyChoice{kind: keyEnvironment, text: "ours", from: "EDGE_KEY"}
		})},
		{"set to nothing is not set", "-l a.b.c.d:7654", map[string]string{"EDGE_COMMUNITY": "", "N2N_COMMUNITY": "mynetwork", "EDGE_KEY": "", "N2N_KEY": "theirs"}, plain(func(o *options) {
			o.Community.Key = keyChoice{kind: keyEnvironment, text: "theirs", from: "N2N_KEY"}
		})},
		{"option before environment", short, map[string]string{"EDGE_COMMUNITY": "x", "EDGE_KEY": "y"}, plain(nil)},
		{"key file", "-c mynetwork --key-file /k -l a.b.c.d:7654", nil, plain(func(o *options) {
			o.Community.Key = keyChoice{kind: keyFile, text: "/k", from: "--key-file"}
		})},
		{"key on standard input", "-c mynetwork --key-file - -l a.b.c.d:7654", nil, plain(func(o *options) {
			o.Community.Key = keyChoice{kind: keyStdin, text: "-", from: "--key-file"}
		})},
		{"community file names the community", "--community-file /c -l a.b.c.d:7654", nil, plain(func(o *options) {
			o.Community.Name, o.Community.Key = "", keyChoice{kind: keyCommunityFile, text: "/c", from: "--community-file"}
		})},
		{"helper", "-c mynetwork --key-exec /bin/vault -l a.b.c.d:7654", nil, plain(func(o *options) {
			o.Community.Key = keyChoice{kind: keyExec, text: "/bin/vault", from: "--key-exec"}
		})},
		{"no encryption", "-c mynetwork --insecure-no-encryption -l a.b.c.d:7654", nil, plain(func(o *options) {
			o.Community.Key = keyChoice{kind: keyInsecure, from: "--insecure-no-encryption"}
		})},
		{"systemd's state directory", short, map[string]string{"STATE_DIRECTORY": "/var/lib/private/edge"}, plain(func(o *options) {
			o.StateDir = "/var/lib/private/edge"
		})},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, errs, code := parse(t, tt.env, strings.Fields(tt.line)...)
			if code != cli.OK || errs != "" {
				t.Fatalf("code %d, %s", code, errs)
			}
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(options{}, keyChoice{}, without{}), cmpopts.EquateComparable(netip.Prefix{}, netip.Addr{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRandomMAC(t *testing.T) {
	o, errs, _ := parse(t, nil, "-c", "n", "-k", "k", "-l", "h:1", "-m", "random")
	if o.Ethernet.MAC == ([6]byte{}) || o.Ethernet.MAC[0]&3 != 2 || errs != "" {
		t.Errorf("%x is not a locally administered address of one device; %s", o.Ethernet.MAC, errs)
	}
}

func TestCredential(t *testing.T) {
	dir := t.TempDir()
	env := map[string]string{"CREDENTIALS_DIRECTORY": dir}
	_, errs, code := parse(t, env, "-c", "n", "-l", "h:1")
	if code != cli.Usage || !strings.Contains(errs, "no key") {
		t.Errorf("without a credential: %d, %s", code, errs)
	}
	path := filepath.Join(dir, "key")
	if err := os.WriteFile(path, []byte("fromsystemd\n"), 0o440); err != nil {
		t.Fatal(err)
	}
	want := keyChoice{kind: keyCredential, text: path, from: "${CREDENTIALS_DIRECTORY}/key"}
	if o, errs, _ := parse(t, env, "-c", "n", "-l", "h:1"); o.Community.Key != want {
		t.Errorf("%+v, %s", o.Community.Key, errs)
	}
	if text, err := want.read(nil); text != "fromsystemd" || err != nil {
		t.Errorf("read %q, %v", text, err)
	}
	env["N2N_KEY"] = "fromenv"
	if o, _, _ := parse(t, env, "-c", "n", "-l", "h:1"); o.Community.Key.kind != keyEnvironment {
		t.Errorf("the environment goes first, not %+v", o.Community.Key)
	}
}

func TestFaults(t *testing.T) {
	const short = "-c mynetwork -k encryptme -l a.b.c.d:7654 "
	for _, tt := range []struct {
		line string
		env  map[string]string
		want []string // each of them must be said
	}{
		{"", nil, []string{"no key: give one with --key-file FILE or EDGE_KEY", "'edge keygen --community NAME -o FILE'", "--insecure-no-encryption",
			"no community: name it with -c NAME", "no supernode: say where it is with -l HOST:PORT", "Try 'edge --help'."}},
		{"-c mynetwork -l h:1", map[string]string{"EDGE_KEY": ""}, []string{"no key"}},
		{short + "--fdb-size many", nil, []string{"--fdb-size many is not one number, or two with a comma: type one such as 32768,8192 [E27]"}},
		{short + "--fdb-size 100,", nil, []string{"--fdb-size 100, is not one number, or two with a comma"}},
		{short + "--fdb-size 2", nil, []string{"--fdb-size 2: 2 entries of a forwarding database are outside 16 to 1048576; type one such as 32768,8192 [E27]"}},
		{short + "--fdb-size 100,200", nil, []string{"--fdb-size 100,200: 200 entries behind one edge are outside 16 to 100, which are those in all; type"}},
		{short + "-a 10.1.2.0/24 -d name-that-is-too-long -m 01:00:00:00:00:01 -M 100 -p 65536", nil, []string{
			"-a 10.1.2.0/24 is the network itself: type a host in it, such as 10.1.2.1/24",
			"-d name-that-is-too-long: the name of a device has 1 to 15 bytes",
			"-m 01:00:00:00:00:01 is not an address that a device can have",
			"-M 100 is not an MTU from 1280 to 9000 bytes", "-p 65536 is not a port from 0 to 65535"}},
		{short + "-a 10.1.2.255", nil, []string{"is the broadcast address of the network: type a host in it, such as 10.1.2.254/24"}},
		{short + "-a 127.0.0.1", nil, []string{"is not an address that a host can have"}},
		{short + "-a fd00::1/64", nil, []string{"IPv6 address follows from its identity"}},
		{short + "-a ten", nil, []string{"-a ten is not an address"}},
		{short + "-a 10.1.2.3/0", nil, []string{"covers more than a /8"}},
		{short + "--allow-lease 128.0.0.0/1 --allow-lease fd00::/64 --allow-lease all", nil, []string{
			"--allow-lease 128.0.0.0/1 is not an IPv4 network from /8 on", "--allow-lease fd00::/64 is not", "--allow-lease all is not"}},
		{short + "-a dhcp --allow-lease 8.0.0.0/8", nil, []string{"--allow-lease has no meaning with -a dhcp"}},
		{short + "--bridge-priority 0 --stp on", nil, []string{
			"--bridge-priority 0 is no priority from 1 to 65535; the lowest forwards, and 32768 is the default",
			"--stp on: type forward, to carry the messages of spanning trees to the other members, or drop",
			"--bridge-priority and --stp are for bridges: name the bridge that the device joins with --bridge NAME"}},
		{short + "--bridge-address --bridge-cost 0", nil, []string{
			"--bridge-cost 0 is not a path cost from 1 to 65535",
			"--bridge-address, --bridge-cost and --bridge-force say how a bridge is joined: name it with --bridge NAME"}},
		{short + "--bridge br0 -a 10.1.2.3", nil, []string{
			"-a has no meaning with --bridge, since a port of a bridge has no address: leave it out, or type --bridge-address to give br0 the address"}},
		{short + "-m zebra", nil, []string{"-m zebra is not a hardware address", "random"}},
		{short + "-d a/b", nil, []string{`-d "a/b" is not a name that a device can have`}},
		{short + "-d ..", nil, []string{`-d ".." is not a name`}},
		{short + "--p2p mesh0 --p2p roof=mesh0 --p2p 9f3a-71c2=mesh0 --p2p 02:00:00:00:00:01=mesh0", nil, []string{
			"--p2p mesh0: say PEER=DEVICE, such as 9f3a-71c2-e0b4=mesh0, or auto:mesh%d for all",
			`--p2p roof=mesh0: "roof" is no identity of 12 digits or more, and a name or a hardware address proves nothing`,
			`"9f3a-71c2" is no identity`, `"02:00:00:00:00:01" is no identity`, "'edge status' shows the identity there"}},
		{short + "-d mesh1 --p2p 9f3a-71c2-e0b4=mesh0 --p2p 9f3a-71c2-e0b4-00=mesh2 --p2p 0f3a-71c2-e0b4=mesh0 --p2p 1f3a-71c2-e0b4=mesh1", nil, []string{
			"--p2p 9f3a-71c2-e0b4-00=mesh2: this peer or device was given already", "--p2p 0f3a-71c2-e0b4=mesh0: this", "--p2p 1f3a-71c2-e0b4=mesh1: this"}},
		{short + "--p2p 9f3a-71c2-e0b4=name-that-is-too-long --p2p 0f3a-71c2-e0b4=a/b", nil, []string{
			"name-that-is-too-long: the name of a device has 1 to 15 bytes", `"a/b" is not a name that a device can have`}},
		{short + "--p2p auto:mesh --p2p auto:mesh%d%d --p2p auto:a-longer-name-%d --p2p auto:m%d", nil, []string{
			"--p2p auto:mesh: say where the number of a device goes, as in auto:mesh%d", "auto:mesh%d%d: say where",
			"a-longer-name-511: the name of a device has 1 to 15 bytes", "--p2p auto:m%d: auto was given already"}},
		{"-c mynetwork -k k -l vps.example", nil, []string{"-l vps.example: the port is missing; type vps.example:7654"}},
		{"-c mynetwork -k k -l 2001:db8::1", nil, []string{"the port is missing; type [2001:db8::1]:7654"}},
		{"-c mynetwork -k k -l :7654", nil, []string{"the host is missing"}},
		{"-c mynetwork -k k -l h:0", nil, []string{`"0" is not a port from 1 to 65535`}},
		{"-c mynetwork -k k -l h:1#abcd", nil, []string{"not a supernode's key; 'supernode id' prints it"}},
		{"-c mynetwork -k k -l h:1 -l h:1", nil, []string{"-l h:1 was given twice"}},
		{"-c mynetwork -k k -l a:1 -l b:1 -l c:1 -l d:1 -l e:1 -l f:1 -l g:1 -l h:1 -l i:1", nil, []string{"-l was given 9 times: 8 supernodes are the most"}},
		{short + "--stun h:x", nil, []string{"--stun h:x:"}},
		{short + "--log-format xml", nil, []string{"--log-format xml is not text or json"}},
		{short + "--test-clock-offset soon", nil, []string{"is not a length of time"}},
		{short + "--name " + strings.Repeat("x", 64), nil, []string{"up to 63 bytes"}},
		{short + "--key-file f", nil, []string{"-k and --key-file exclude each other: take one away"}},
		{short + "--insecure-no-encryption", nil, []string{"-k and --insecure-no-encryption exclude each other"}},
		{"-c n -l h:1 --insecure-no-encryption", map[string]string{"EDGE_KEY": "x"}, []string{"EDGE_KEY is set, and --insecure-no-encryption would ignore it"}},
		{"-c n -l h:1 -k=", nil, []string{"-k was given nothing"}},
		{"-c " + strings.Repeat("x", 65) + " -k k -l h:1", nil, []string{"community name is 65 bytes long"}},
		{short + "edge.conf -p 1", nil, []string{`unexpected argument "edge.conf": options after it would be ignored.`, "[E24]"}},
		{short + "peesr", nil, []string{`Did you mean the sub-command "peers"? [E24]`}},
	} {
		t.Run(tt.line, func(t *testing.T) {
			_, errs, code := parse(t, tt.env, strings.Fields(tt.line)...)
			if code != cli.Usage {
				t.Errorf("code %d", code)
			}
			for _, want := range tt.want {
				if !strings.Contains(errs, want) {
					t.Errorf("%q does not say %q", errs, want)
				}
			}
			if strings.Contains(errs, "encryptme") {
				t.Errorf("the key is shown: %q", errs)
			}
		})
	}
}

func TestParseKey(t *testing.T) {
	want := [32]byte{0: 0xfb, 1: 0xff, 31: 9}
	for _, s := range []string{
		"fbff" + strings.Repeat("0", 58) + "09",
		"+/8AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAk=",
		"-_8AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAk",
	} {
		if got, ok := parseKey(s); !ok || got != want {
			t.Errorf("parseKey(%q) = %x, %v", s, got, ok)
		}
	}
	for _, s := range []string{"", "00", strings.Repeat("0", 66), "nonsense", strings.Repeat("=", 44)} {
		if _, ok := parseKey(s); ok {
			t.Errorf("parseKey(%q) was taken", s)
		}
	}
}

func TestEdgeName(t *testing.T) {
	for _, tt := range []struct{ typed, host, want string }{
		{"", "roof.example", "roof"},
		{"", "", ""},
		{"", strings.Repeat("x", 64), ""},
		{"", "a\x1bb", ""},
		{"Bücherei 3", "roof", "Bücherei 3"},
	} {
		if got, err := edgeName(tt.typed, tt.host); got != tt.want || err != nil {
			t.Errorf("edgeName(%q, %q) = %q, %v", tt.typed, tt.host, got, err)
		}
	}
	if _, err := edgeName("a\nb", ""); err == nil {
		t.Error("a name of two lines was taken")
	}
}

// What others may send here, and what is wrong in saying so.
func TestGuardOptions(t *testing.T) {
	line := []string{"-c", "mynetwork", "-k", "encryptme", "-l", "a.b.c.d:7654"}
	o, errs, _ := parse(t, nil, append(line, "--storm", "500", "--transparent", "--accept-bridges", "none", "--accept-dhcp", "bridges", "--accept-ra", "9f3a-71c2-e0b4,71c2-9f3a-e0b4")...)
	list, err := bridge.ParseWhom("9f3a-71c2-e0b4,71c2-9f3a-e0b4")
	if err != nil {
		t.Fatal(err)
	}
	want := edge.Ethernet{Storm: 500, Transparent: true, Accept: bridge.Policy{Bridges: bridge.Nobody, DHCP: bridge.Bridges, Routers: list}}
	if diff := cmp.Diff(want, o.Ethernet); diff != "" {
		t.Errorf("%s %s", diff, errs)
	}
	if o, _, _ := parse(t, nil, append(line, "--storm", "off")...); o.Ethernet.Storm >= 0 {
		t.Errorf("off is %d", o.Ethernet.Storm)
	}
	hub := crypto.NewIdentity([32]byte{1}).ID
	if o, errs, _ := parse(t, nil, append(line, "--hubs", fmt.Sprintf("%x", []byte(hub)))...); len(o.Ethernet.Hubs) != 1 || o.Ethernet.Hubs[0] != [32]byte(hub) {
		t.Errorf("hubs %x, %s", o.Ethernet.Hubs, errs)
	}
	if _, errs, code := parse(t, nil, "-c", "n", "--insecure-no-encryption", "-l", "a.b.c.d:7654", "--hubs", fmt.Sprintf("%x", []byte(hub))); !strings.Contains(errs, "anybody could be one") || code != 2 {
		t.Errorf("hubs without encryption: code %d, %s", code, errs)
	}
	for _, c := range [][]string{
		{"--hubs: no hub is named", "--hubs", ""},
		{`--hubs: "9f3a-71c2-e0b4" is no identity of a hub`, "--hubs", "9f3a-71c2-e0b4"},
		{"--storm 0 is neither off nor a number", "--storm", "0"},
		{"--storm much is neither", "--storm", "much"},
		{`--accept-bridges: "some" is not an identity such as`, "--accept-bridges", "some"},
		{"type all, bridges, none", "--accept-dhcp", "9f3a"},
		{"--accept-ra: ", "--accept-ra", "all,none"},
	} {
		_, errs, code := parse(t, nil, append(line, c[1:]...)...)
		if !strings.Contains(errs, c[0]) || code != 2 {
			t.Errorf("%v: code %d, %s", c[1:], code, errs)
		}
	}
}

// How an edge reaches the others, and what is wrong in saying so.
func TestReachOptions(t *testing.T) {
	o, errs, _ := parse(t, nil, "-c", "mynetwork", "-k", "encryptme", "-l", "a.b.c.d:7654", "-t", "--no-relay", "--no-lan", "--no-port-mapping",
		"--public-address", "198.51.100.7:7777", "--public-address", "[2001:db8::7]:7777", "--public-address", "198.51.100.8", "--turn", "turn:relay.example?transport=udp",
		"--turn-user", "me", "--turn-secret", "secret", "--http-proxy", "proxy.example:3128", "--tos", "inherit", "--padding", "full")
	want := edge.Reach{
		TURN:       []underlay.TURNServer{{Host: "relay.example", Port: 3478, User: "me", Password: "secret"}},
		Advertise:  []netip.AddrPort{netip.MustParseAddrPort("198.51.100.7:7777"), netip.MustParseAddrPort("[2001:db8::7]:7777"), netip.MustParseAddrPort("198.51.100.8:0")},
		StreamOnly: true, NoRelay: true, InheritTOS: true, Padding: dataplane.PaddingFull,
	}
	if cmp.Diff(want, o.Reach, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })) != "" || !o.Nearby.NoLAN || !o.Nearby.NoMapping || o.Stream.Proxy.String() != "http://proxy.example:3128" {
		t.Errorf("%+v %+v %+v %s", o.Reach, o.Nearby, o.Stream, errs)
	}
	for _, c := range [][]string{
		{"--public-address 198.51.100.7:0 is no", "--public-address", "198.51.100.7:0"},
		{"--public-address me.example:7777 is no", "--public-address", "me.example:7777"},
		{"--public-address :: is no", "--advertise", "::"},
		{"--turn needs --turn-user", "--turn", "turn:relay.example"},
		{"--turn stun:relay.example:", "--turn", "stun:relay.example", "--turn-user", "a", "--turn-secret", "b"},
		{"--turn-user without --turn", "--turn-user", "a"},
		{"--padding most is not known: type off, light or full", "--padding", "most"},
		{"--tos 184 is not known: type --tos inherit", "--tos", "184"},
		{"--http-proxy is not the address of a proxy", "--http-proxy", "ftp://proxy.example"},
	} {
		_, errs, code := parse(t, nil, append([]string{"-c", "mynetwork", "-k", "encryptme", "-l", "a.b.c.d:7654"}, c[1:]...)...)
		if !strings.Contains(errs, c[0]) || code != 2 {
			t.Errorf("%v: code %d, %s", c[1:], code, errs)
		}
	}
}

func TestParseVLANs(t *testing.T) {
	for list, want := range map[string][]uint16{"0": {0}, "10,20": {10, 20}, "0, 4094": {0, 4094}} {
		got, err := parseVLANs(list)
		if err != nil {
			t.Errorf("%s: %v", list, err)
			continue
		}
		for id := range uint16(4096) {
			if got.Has(id) != slices.Contains(want, id) {
				t.Errorf("%s: VLAN %d is listed: %v", list, id, got.Has(id))
			}
		}
	}
	for _, list := range []string{"", "10,", "4095", "-1", "ten", "10-20", "65536"} {
		if _, err := parseVLANs(list); err == nil || !strings.Contains(err.Error(), "such as 0,10,20") {
			t.Errorf("%q: %v", list, err)
		}
	}
}

// A user needs a password, and a password a user.
func TestUserOptions(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("correct horse\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	known := "a.example:7654#" + strings.Repeat("A", 42) + "E"
	for _, env := range []map[string]string{{}, {"EDGE_USER": "ana", "EDGE_PASSWORD": "correct horse"}} {
		args := []string{"-c", "mynetwork", "-k", "encryptme", "-l", known, "-l", strings.Replace(known, "a.", "b.", 1)}
		if len(env) == 0 {
			args = append(args, "--user", "ana", "--password-file", file)
		}
		o, errs, code := parse(t, env, args...)
		if code != 0 || len(o.Supernodes) != 2 {
			t.Fatalf("%d: %s", code, errs)
		}
		for _, sn := range o.Supernodes {
			if sn.User != "ana" || sn.Password != "correct horse" {
				t.Errorf("%s is told %q %q", sn.Name, sn.User, sn.Password)
			}
		}
	}
	for _, c := range [][]string{
		{"--user ana has no password: add --password-file", "--user", "ana"},
		{"a password and no user: add --user", "--password-file", file},
		{"cannot be used", "--user", "ana", "--password-file", file + "x"},
	} {
		args := append([]string{"-c", "mynetwork", "-k", "encryptme", "-l", known}, c[1:]...)
		if _, errs, code := parse(t, nil, args...); code != 2 || !strings.Contains(errs, c[0]) {
			t.Errorf("%v: %d: %s", c[1:], code, errs)
		}
	}
}
