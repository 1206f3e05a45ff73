package fold

import "maps"

// Document is an object as it stands after some patches. It never changes: applying a patch gives another
// Document, which shares with this one everything that the patch leaves alone. Only what lies on the way to
// a patched or compared place is ever parsed; everything else stays the bytes that came. Documents that come
// from one another belong to one goroutine.
type Document struct {
	root   *value
	edited map[*value]content // what an object or array holds by now, where that is not what its text says
	text   []byte             // what Bytes returns, once it was asked
}

// NewDocument returns a document of object, which must be one valid JSON object. The bytes are not
// changed, and must not change while the document is in use.
func NewDocument(object []byte) *Document {
	return &Document{root: &value{raw: string(object)}, text: object}
}

// Bytes returns the document as JSON, which the caller must not change. Values that no patch touched are
// the bytes that came.
func (d *Document) Bytes() []byte {
	if d.text == nil {
		d.text = d.append(make([]byte, 0, len(d.root.raw)+1024), d.root)
	}
	return d.text
}

// Changed tells whether a patch was applied on the way to this document.
func (d *Document) Changed() bool { return len(d.edited) > 0 }

// fork returns a document for one patch to be applied to.
func (d *Document) fork() *Document {
	edited := maps.Clone(d.edited)
	if edited == nil {
		edited = map[*value]content{}
	}
	return &Document{root: d.root, edited: edited}
}

// content returns what v, an object or array, holds in this document.
func (d *Document) content(v *value) (content, error) {
	if c, ok := d.edited[v]; ok {
		return c, nil
	}
	return v.open()
}

// child returns what token names in v.
func (d *Document) child(v *value, token string) (*value, error) {
	c, err := d.content(v)
	if err != nil {
		return nil, err
	}
	return c.child(token)
}

// append writes v as JSON.
func (d *Document) append(to []byte, v *value) []byte {
	c, ok := d.edited[v]
	if !ok {
		c = v.parts
	}
	switch c.form {
	case object:
		to = append(to, '{')
		for i, m := range c.members {
			if i > 0 {
				to = append(to, ',')
			}
			to = append(append(to, m.key...), ':')
			to = d.append(to, m.value)
		}
		return append(to, '}')
	case array:
		to = append(to, '[')
		for i, e := range c.elements {
			if i > 0 {
				to = append(to, ',')
			}
			to = d.append(to, e)
		}
		return append(to, ']')
	default:
		return append(to, v.raw...)
	}
}
