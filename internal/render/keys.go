package render

import (
	"fmt"
	"io"
	"strings"
	"time"

	"hedgerow/edge/control"
	"hedgerow/internal/format"
)

// Keys writes a key schedule as it is at the time now. The error is the writer's.
func Keys(w io.Writer, v control.Keys, now time.Time) error {
	var s sheet
	s.row(v.Community, "%s", format.Count(len(v.Epochs), "epoch"))
	active := "none"
	if v.Active != nil {
		active = fmt.Sprintf("index %d", *v.Active)
		for _, e := range v.Epochs {
			if e.Index == *v.Active && e.Until != nil {
				active += ", until " + e.Until.Format(format.TimeLayout)
			}
		}
	}
	s.row("active", "%s", active)
	s.row("accepted", "%s", indices(v.Acceptable))
	if v.Next != nil {
		s.row("next roll", "%s (in %s)", v.Next.UTC().Format(format.TimeLayout), format.Remaining(v.Next.Sub(now)))
	} else {
		s.row("next roll", "none")
	}
	if v.Ends != nil {
		s.row("ends", "%s", v.Ends.UTC().Format(format.TimeLayout))
	} else {
		s.row("ends", "never")
	}
	if v.Warning != "" {
		s.row("warning", "%s", v.Warning)
	}
	return s.writeTo(w)
}

func indices(list []uint8) string {
	if len(list) == 0 {
		return "none"
	}
	texts := make([]string, len(list))
	for i, ki := range list {
		texts[i] = fmt.Sprint(ki)
	}
	return strings.Join(texts, ", ")
}
