package portmap

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	"github.com/huin/goupnp"
	"github.com/huin/goupnp/soap"
)

// upnp speaks UPnP.
type upnp struct {
	port      uint16 // of SSDP
	multicast bool   // search by multicast, too
}

func (u upnp) protocol() Protocol { return UPnP }

// find searches for the router and reads its description (UPnP Device
// Architecture 1.1, section 2). From the library come only the description's
// types and SOAP, with a client of ours: its own follows every URL.
func (u upnp) find(ctx context.Context, r router) (service, error) {
	web := newWeb(r)
	var s *upnpService
	var last error
	err := u.search(ctx, r, func(at *url.URL) bool {
		s, last = describe(ctx, web, r, at)
		return s == nil
	})
	switch {
	case s != nil:
		return s, nil
	case last == nil || ctx.Err() != nil:
		return nil, err
	case errors.Is(last, errElsewhere):
		return nil, garbledBy("UPnP leads to another host")
	}
	return nil, garbledBy("UPnP")
}

// services are the services that may map ports, the better one first:
// WANIPConnection 2 chooses another port where ours is in use.
var services = [...]string{
	"urn:schemas-upnp-org:service:WANIPConnection:2",
	"urn:schemas-upnp-org:service:WANIPConnection:1",
	"urn:schemas-upnp-org:service:WANPPPConnection:1",
}

// choosesPort is the service with AddAnyPortMapping.
const choosesPort = "urn:schemas-upnp-org:service:WANIPConnection:2"

// maxServices bounds the services of one router that are asked for an address.
const maxServices = 4

// describe returns the service of the router that has a public address, or the
// first if none has one.
func describe(ctx context.Context, web http.Client, r router, at *url.URL) (*upnpService, error) {
	var list []*upnpService
	err := get(ctx, &web, at.String(), func(body io.Reader) (err error) {
		list, err = parseDescription(body, at, web, r)
		return err
	})
	if err != nil {
		return nil, err
	}
	// A router may have several, of which one is connected.
	for _, s := range list {
		if a, err := s.address(ctx); err == nil && public(a) {
			return s, nil
		}
	}
	return list[0], nil
}

// parseDescription returns the services of a description that map ports, at
// least one and at most maxServices, in the order of preference. Its URLs are
// relative to where it was.
func parseDescription(body io.Reader, at *url.URL, web http.Client, r router) (list []*upnpService, err error) {
	var root goupnp.RootDevice
	d := xml.NewDecoder(body)
	d.DefaultSpace = goupnp.DeviceXMLNamespace
	if err := d.Decode(&root); err != nil {
		return nil, err
	}
	if root.URLBaseStr != "" {
		if at, err = url.Parse(root.URLBaseStr); err != nil {
			return nil, err
		}
	}
	root.SetURLBase(at)
	err = errors.New("it maps no ports")
	for _, kind := range services {
		for _, found := range root.Device.FindService(kind) {
			control := found.ControlURL.URL
			if !found.ControlURL.Ok || !isAt(&control, r.gateway) {
				err = errElsewhere
				continue
			}
			if len(list) < maxServices {
				list = append(list, &upnpService{router: r, kind: kind, soap: &soap.SOAPClient{EndpointURL: control, HTTPClient: web}})
			}
		}
	}
	if len(list) > 0 {
		err = nil
	}
	return list, err
}

// upnpService is a router with UPnP.
type upnpService struct {
	router
	kind     string
	soap     *soap.SOAPClient
	internal uint16         // the port that is mapped
	external netip.AddrPort // as granted
}

// Error codes of the services (WANIPConnection:2, section 2.5).
const (
	upnpInvalidAction = 401
	upnpNotAuthorized = 606
	upnpNoSuchEntry   = 714
	upnpConflict      = 718
	upnpSamePorts     = 724
	upnpPermanentOnly = 725
)

// forEver is the assumed lifetime at a router that has only permanent mappings:
// such a mapping is checked as often as others. It outlives a process that is
// killed.
const forEver = 2 * time.Hour

// maxPorts is how many external ports are tried when they are in use.
const maxPorts = 4

func (s *upnpService) request(ctx context.Context, w want) (grant, error) {
	address, err := s.address(ctx)
	if err != nil {
		return grant{}, err
	}
	if !public(address) {
		return grant{}, behindNAT(address)
	}
	s.internal = w.port
	port, lifetime := w.suggestion(), w.lifetime
	for range maxPorts {
		var got uint16
		got, err = s.add(ctx, port, lifetime)
		if err == nil {
			s.external = netip.AddrPortFrom(address, got)
			if lifetime == 0 {
				lifetime = forEver
			}
			return newGrant(s.external, uint32(lifetime/time.Second))
		}
		switch upnpError(err) {
		case upnpPermanentOnly:
			lifetime = 0
		case upnpConflict:
			port = uint16(1024 + rand.IntN(1<<16-1024))
		case upnpSamePorts:
			port = w.port
		default:
			return grant{}, explain(err)
		}
	}
	return grant{}, explain(err)
}

// check asks for the entry and for the address.
func (s *upnpService) check(ctx context.Context) error {
	address, err := s.address(ctx)
	if err != nil {
		return err
	}
	if address != s.external.Addr() {
		return errLost
	}
	in := struct{ NewRemoteHost, NewExternalPort, NewProtocol string }{"", decimal(s.external.Port()), "UDP"}
	var out struct{ NewInternalPort, NewInternalClient string }
	err = s.call(ctx, "GetSpecificPortMappingEntry", &in, &out)
	switch {
	case upnpError(err) == upnpNoSuchEntry:
		return errLost
	case err != nil:
		return explain(err)
	case out.NewInternalClient != s.local.String() || out.NewInternalPort != decimal(s.internal):
		return errLost
	}
	return nil
}

func (s *upnpService) release(ctx context.Context) error {
	in := struct{ NewRemoteHost, NewExternalPort, NewProtocol string }{"", decimal(s.external.Port()), "UDP"}
	return explain(s.call(ctx, "DeletePortMapping", &in, nil))
}

// address asks for the router's own address.
func (s *upnpService) address(ctx context.Context) (netip.Addr, error) {
	var out struct{ NewExternalIPAddress string }
	if err := s.call(ctx, "GetExternalIPAddress", nil, &out); err != nil {
		return netip.Addr{}, explain(err)
	}
	a, err := netip.ParseAddr(out.NewExternalIPAddress)
	if err != nil || a.IsUnspecified() {
		return netip.Addr{}, refusedFor("it has no connection to the network")
	}
	return a.Unmap(), nil
}

// add asks for a mapping and returns its port. A lifetime of 0 is a permanent
// one.
func (s *upnpService) add(ctx context.Context, port uint16, lifetime time.Duration) (uint16, error) {
	in := struct {
		NewRemoteHost, NewExternalPort, NewProtocol, NewInternalPort, NewInternalClient,
		NewEnabled, NewPortMappingDescription, NewLeaseDuration string
	}{
		"", decimal(port), "UDP", decimal(s.internal), s.local.String(),
		"1", "hedgerow", strconv.FormatInt(int64(lifetime/time.Second), 10),
	}
	if s.kind != choosesPort {
		return port, s.call(ctx, "AddPortMapping", &in, nil)
	}
	var out struct{ NewReservedPort string }
	err := s.call(ctx, "AddAnyPortMapping", &in, &out)
	if upnpError(err) == upnpInvalidAction {
		return port, s.call(ctx, "AddPortMapping", &in, nil)
	}
	if err != nil {
		return 0, err
	}
	got, err := strconv.ParseUint(out.NewReservedPort, 10, 16)
	if err != nil {
		return 0, garbledBy(fmt.Sprintf("UPnP: a reserved port %.20q", out.NewReservedPort))
	}
	return uint16(got), nil
}

// call performs an action. The structures' fields are its arguments.
func (s *upnpService) call(ctx context.Context, action string, in, out any) error {
	if in == nil {
		in = &struct{}{}
	}
	return s.soap.PerformActionCtx(ctx, s.kind, action, in, out)
}

func decimal(port uint16) string { return strconv.Itoa(int(port)) }

// upnpError returns the error code of a fault that the router sent, or 0.
func upnpError(err error) int {
	if f, ok := errors.AsType[*soap.SOAPFaultError](err); ok {
		return f.Detail.UPnPError.Errorcode
	}
	return 0
}

// explain turns an error of the library into a fault. It does not repeat the
// router's own words, which are not safe for terminals.
func explain(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*fault](err); ok {
		return err
	}
	f, ok := errors.AsType[*soap.SOAPFaultError](err)
	switch {
	case !ok:
		return errSilent
	case f.Detail.UPnPError.Errorcode == upnpNotAuthorized:
		return refusedFor("not authorised")
	case f.Detail.UPnPError.Errorcode == upnpConflict:
		return refusedFor("the port is taken")
	}
	return refusedFor(fmt.Sprintf("UPnP error %d", f.Detail.UPnPError.Errorcode))
}
