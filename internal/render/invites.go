package render

import (
	"fmt"
	"io"
	"strings"
	"time"

	"hedgerow/internal/format"
	"hedgerow/supernode/admin"
)

// shownUses is how many of the edges that have used an invite are shown.
const shownUses = 4

// Invites writes the invites of a supernode as they are at a time. The error is the
// writer's.
func Invites(w io.Writer, list []admin.Invite, now time.Time) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(w, "no invites")
		return err
	}
	_, err := io.WriteString(w, table([]string{"ID", "COMMUNITY", "EXPIRES", "USED", "BY"}, list, func(v admin.Invite) []string {
		expires := v.Expires.Format(format.TimeLayout)
		if !now.Before(v.Expires) {
			expires = "expired"
		}
		return []string{v.ID, v.Community, expires, fmt.Sprintf("%d of %d", len(v.Used), v.Uses), usedBy(v.Used)}
	}))
	return err
}

// usedBy names the edges that have used an invite last.
func usedBy(used []admin.InviteUse) string {
	if len(used) == 0 {
		return absent
	}
	var names []string
	for _, u := range used[max(0, len(used)-shownUses):] {
		names = append(names, shortIdentity(u.Identity))
	}
	if more := len(used) - len(names); more > 0 {
		names = append([]string{fmt.Sprintf("%d others", more)}, names...)
	}
	return strings.Join(names, ", ")
}

// shortIdentity returns the first digits of an identity as crypto.ShortID writes them.
func shortIdentity(digits string) string {
	if len(digits) < 12 {
		return digits
	}
	return digits[:4] + "-" + digits[4:8] + "-" + digits[8:12]
}
