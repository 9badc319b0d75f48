package portmap

import (
	"encoding/xml"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// igd is a router that speaks UPnP, on loopback.
type igd struct {
	web  *httptest.Server
	ssdp *net.UDPConn

	mu          sync.Mutex
	kind        string
	location    string // instead of that of web
	base        string // URLBase of the description
	control     string // URL of the service
	description string // instead of the right one
	wan         string
	faults      map[string][]int // by actions: error codes to answer with, in turn
	mappings    map[string]entry // by external ports
	calls       []string
	strayFrom   string // an address that answers, too, before the router
}

type entry struct{ client, port, lease string }

// newIGD starts a router of this kind of service.
func newIGD(t *testing.T, kind string) *igd {
	t.Helper()
	g := &igd{kind: kind, wan: wan.String(), control: "/ctl", faults: make(map[string][]int), mappings: make(map[string]entry)}
	g.web = httptest.NewServer(g)
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	g.ssdp = conn
	var done sync.WaitGroup
	done.Go(g.serveSearch)
	t.Cleanup(func() {
		conn.Close()
		done.Wait()
		g.web.Close()
	})
	return g
}

// speaker returns the protocol that searches where the router is.
func (g *igd) speaker() upnp {
	return upnp{port: g.ssdp.LocalAddr().(*net.UDPAddr).AddrPort().Port()}
}

func (g *igd) set(f func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f()
}

func (g *igd) mapped() map[string]entry {
	g.mu.Lock()
	defer g.mu.Unlock()
	m := make(map[string]entry)
	for k, v := range g.mappings {
		m[k] = v
	}
	return m
}

func (g *igd) called() (calls []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	calls, g.calls = g.calls, nil
	return calls
}

func (g *igd) serveSearch() {
	buf := make([]byte, 1500)
	for {
		n, from, err := g.ssdp.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		if !strings.HasPrefix(string(buf[:n]), "M-SEARCH * HTTP/1.1\r\n") {
			continue
		}
		g.mu.Lock()
		location, stray := g.location, g.strayFrom
		g.mu.Unlock()
		if location == "" {
			location = g.web.URL + "/root.xml"
		}
		if stray != "" {
			answerSearch(stray, from, "http://"+stray+":1/root.xml")
			answerSearch(stray, from, location+"?from=another")
		}
		fmt.Fprintf(udpWriter{g.ssdp, from}, searchAnswer, location)
	}
}

const searchAnswer = "HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=120\r\nST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\nLOCATION: %s\r\nUSN: uuid:1\r\nEXT:\r\n\r\n"

// answerSearch answers from another address.
func answerSearch(from string, to netip.AddrPort, location string) {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(from)})
	if err != nil {
		return // not all systems have more than one address of loopback
	}
	defer conn.Close()
	fmt.Fprintf(udpWriter{conn, to}, searchAnswer, location)
}

type udpWriter struct {
	conn *net.UDPConn
	to   netip.AddrPort
}

func (w udpWriter) Write(b []byte) (int, error) { return w.conn.WriteToUDPAddrPort(b, w.to) }

func (g *igd) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if r.Method == http.MethodGet {
		g.calls = append(g.calls, r.URL.String())
		switch {
		case strings.HasPrefix(r.URL.Path, "/away"):
			http.Redirect(w, r, "http://127.0.0.2/root.xml", http.StatusFound)
		case g.description != "":
			io.WriteString(w, g.description)
		default:
			fmt.Fprintf(w, deviceXML, g.base, g.kind, g.control)
		}
		return
	}
	action := strings.Trim(r.Header.Get("Soapaction"), `"`)
	_, action, _ = strings.Cut(action, "#")
	g.calls = append(g.calls, action)
	if codes := g.faults[action]; len(codes) > 0 {
		g.faults[action] = codes[1:]
		if codes[0] != 0 {
			w.WriteHeader(http.StatusInternalServerError)
			fmt.Fprintf(w, soapFault, codes[0])
			return
		}
	}
	var in struct {
		Body struct {
			Args []struct {
				XMLName xml.Name
				Inner   []struct {
					XMLName xml.Name
					Text    string `xml:",chardata"`
				} `xml:",any"`
			} `xml:",any"`
		} `xml:"Body"`
	}
	if err := xml.NewDecoder(r.Body).Decode(&in); err != nil || len(in.Body.Args) != 1 {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	args := make(map[string]string)
	for _, a := range in.Body.Args[0].Inner {
		args[a.XMLName.Local] = a.Text
	}
	out, code := g.perform(action, args)
	if code != 0 {
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprintf(w, soapFault, code)
		return
	}
	fmt.Fprintf(w, soapAnswer, action, g.kind, out, action)
}

func (g *igd) perform(action string, args map[string]string) (out string, code int) {
	port := args["NewExternalPort"]
	switch action {
	case "GetExternalIPAddress":
		return "<NewExternalIPAddress>" + g.wan + "</NewExternalIPAddress>", 0
	case "AddPortMapping", "AddAnyPortMapping":
		if action == "AddAnyPortMapping" && g.kind != choosesPort {
			return "", 401
		}
		e := entry{args["NewInternalClient"], args["NewInternalPort"], args["NewLeaseDuration"]}
		if args["NewProtocol"] != "UDP" || args["NewEnabled"] != "1" {
			return "", 402
		}
		if other, ok := g.mappings[port]; ok && other.client != e.client {
			if action == "AddPortMapping" {
				return "", 718
			}
			port = "50000"
		}
		g.mappings[port] = e
		return "<NewReservedPort>" + port + "</NewReservedPort>", 0
	case "GetSpecificPortMappingEntry":
		e, ok := g.mappings[port]
		if !ok {
			return "", 714
		}
		return fmt.Sprintf("<NewInternalPort>%s</NewInternalPort><NewInternalClient>%s</NewInternalClient>", e.port, e.client), 0
	case "DeletePortMapping":
		if _, ok := g.mappings[port]; !ok {
			return "", 714
		}
		delete(g.mappings, port)
		return "", 0
	}
	return "", 401
}

const deviceXML = `<?xml version="1.0"?>
<root xmlns="urn:schemas-upnp-org:device-1-0"><specVersion><major>1</major><minor>0</minor></specVersion><URLBase>%s</URLBase>
<device><deviceType>urn:schemas-upnp-org:device:InternetGatewayDevice:1</deviceType><friendlyName>a router</friendlyName>
<deviceList><device><deviceType>urn:schemas-upnp-org:device:WANDevice:1</deviceType>
<deviceList><device><deviceType>urn:schemas-upnp-org:device:WANConnectionDevice:1</deviceType>
<serviceList><service><serviceType>%s</serviceType><serviceId>x</serviceId><controlURL>%s</controlURL></service></serviceList>
</device></deviceList></device></deviceList></device></root>`

const soapAnswer = `<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body><u:%sResponse xmlns:u="%s">%s</u:%sResponse></s:Body></s:Envelope>`

const soapFault = `<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body><s:Fault><faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring><detail><UPnPError xmlns="urn:schemas-upnp-org:control-1-0"><errorCode>%d</errorCode><errorDescription>text of the router</errorDescription></UPnPError></detail></s:Fault></s:Body></s:Envelope>`

// at returns the URL of a page of the router.
func (g *igd) at(path string) *url.URL {
	u, err := url.Parse(g.web.URL + path)
	if err != nil {
		panic(err)
	}
	return u
}
