package render

import (
	"cmp"
	"io"
	"strings"

	"hedgerow/edge/control"
	"hedgerow/internal/format"
)

// Members writes the list of members. The error is the writer's.
func Members(w io.Writer, v control.Members) error {
	var s sheet
	switch {
	case !v.Listed:
		s.row("members", "whoever has the keys: the community has no list")
		return s.writeTo(w)
	case v.Serial == 0:
		s.row("members", "no list is here yet")
		return s.writeTo(w)
	}
	s.WriteString(table([]string{"ID", "NAME", "ROLE", "ENDS", "STATE"}, v.Entries, func(m control.ListedMember) []string {
		ends := absent
		if m.Expires != nil {
			ends = m.Expires.Format(format.TimeLayout)
		}
		return []string{m.ID, cmp.Or(m.Name, absent), cmp.Or(strings.Join(m.Roles, ","), "plain"), ends, memberState(m)}
	}))
	s.blank()
	s.row("list", "%d of %s", v.Serial, v.Made.Format(format.TimeLayout))
	if v.Stale != nil {
		due := "a newer one is due by %s"
		if v.IsStale {
			due = "a newer one was due by %s: either the authority is away or something withholds it [E66]"
		}
		s.row("", due, v.Stale.Format(format.TimeLayout))
	}
	return s.writeTo(w)
}

// memberState says in a word what becomes of a member.
func memberState(m control.ListedMember) string {
	switch {
	case m.Revoked:
		return "revoked"
	case m.Expired:
		return "ended"
	case m.Self:
		return "this edge"
	case m.Session:
		return "in touch"
	}
	return absent
}
