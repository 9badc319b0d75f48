package attack

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hedgerow/edge/control"
	"hedgerow/integration/lab"
)

// decoded is one line of the decoder in Python, or a packet inside.
type decoded struct {
	Type     string
	Why      string
	Error    string
	Sender   string
	For      string
	Older    bool
	Veiled   *bool
	Valid    *bool
	Frame    *struct{ Src, Payload string }
	Messages []struct {
		Message string
		Valid   bool
		Follows bool
	}
	Whole  *decoded
	Packet *decoded
}

// A second implementation, in Python and made from PROTOCOL.md, opens what real edges
// sent with nothing but the community's file: every datagram is something, and what two
// members broadcast, one of them directly and one by the supernode, is found in it.
func TestDecoderOpensACapture(t *testing.T) {
	python := pythonWith(t, "cryptography")
	s := newScene(t)
	right := s.home("right", "198.51.100.2", lab.PortRestricted)
	seen := lab.Must(right.Capture(lab.HostLink))
	left := s.join(s.home("left", "198.51.100.1", lab.PortRestricted))
	far := s.join(s.home("far", "198.51.100.3", lab.SymmetricRandom))
	here := s.join(right)
	s.awaitPath(left, here, control.PathDirect)
	s.awaitPath(far, left, control.PathRelay)
	time.Sleep(3 * settle) // salts are vouched for
	texts := []string{"left " + clearText, "far " + clearText}
	for i, m := range []*member{left, far} {
		if err := m.broadcast(texts[i], 20); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(3 * settle)
	if err := seen.Stop(); err != nil {
		t.Fatal(err)
	}

	dir := t.TempDir()
	capture, file := filepath.Join(dir, "seen.pcap"), filepath.Join(dir, "community")
	var b bytes.Buffer
	if err := seen.WritePcap(&b); err != nil {
		t.Fatal(err)
	}
	text := lab.Must(s.secrets().community.AppendText(nil))
	for path, content := range map[string][]byte{capture: b.Bytes(), file: text} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command(python, "../decoder/decode.py", file, capture).Output()
	if err != nil {
		t.Fatalf("%v: %s", err, err.(*exec.ExitError).Stderr)
	}
	checkDecoded(t, out, texts)
}

// pythonWith returns a Python 3 that has a package.
func pythonWith(t *testing.T, name string) string {
	t.Helper()
	for _, python := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(python, "-c", "import "+name).Run() == nil {
			return python
		}
	}
	t.Skipf("there is no Python 3 with the package %s", name)
	return ""
}

// broadcast sends a text to everybody, so many times, and once in a datagram that is
// cut into pieces.
func (m *member) broadcast(text string, times int) error {
	out, err := m.at.ListenUDP("udp4", netip.AddrPortFrom(m.addr, 0).String())
	if err != nil {
		return err
	}
	defer out.Close()
	everybody := netip.MustParseAddrPort("255.255.255.255:9")
	for range times {
		if _, err := out.WriteToUDPAddrPort([]byte(text), everybody); err != nil {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
	_, err = out.WriteToUDPAddrPort([]byte(text+strings.Repeat("x", 1342-len(text))), everybody)
	return err
}

// checkDecoded reads the lines of the decoder.
func checkDecoded(t *testing.T, out []byte, texts []string) {
	t.Helper()
	kinds, found := make(map[string]int), make(map[string]int)
	look := func(d *decoded) {
		if d.Whole != nil {
			kinds["whole"]++
			d = d.Whole
		}
		if d.Frame == nil {
			return
		}
		payload, _ := hex.DecodeString(d.Frame.Payload)
		for _, text := range texts {
			if bytes.Contains(payload, []byte(text)) {
				found[text]++
			}
		}
	}
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var d decoded
		if err := json.Unmarshal(lines.Bytes(), &d); err != nil {
			t.Fatalf("%s: %v", lines.Text(), err)
		}
		name := d.Type
		if d.Veiled != nil {
			name = fmt.Sprintf("RELAY veiled %v with %s", *d.Veiled, d.Packet.Type)
		}
		kinds[name]++
		for _, p := range []*decoded{&d, d.Packet} {
			if p == nil {
				continue
			}
			if p.Type == "?" || p.Error != "" || p.Older {
				t.Errorf("not understood: %s", lines.Text())
			}
			look(p)
			for _, m := range p.Messages {
				if m.Message == "30" && m.Valid && m.Follows {
					kinds["ANNOUNCE"]++
				}
			}
		}
	}
	t.Logf("%v, texts %v", kinds, found)
	for _, kind := range []string{"STUN", "HELLO", "WELCOME", "INIT", "RESP", "DATA", "GROUP", "ANNOUNCE", "whole",
		"RELAY veiled true with GROUP", "RELAY veiled true with DATA", "RELAY veiled false with DATA"} {
		if kinds[kind] == 0 {
			t.Errorf("no %s was decoded", kind)
		}
	}
	for _, text := range texts {
		if found[text] < 20 {
			t.Errorf("%q was found %d times", text, found[text])
		}
	}
}
