package cluster

import (
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiwatch "k8s.io/apimachinery/pkg/watch"
)

// afterInitialEvents passes a watch on, and calls then when that what there is has been passed on.
func afterInitialEvents(w apiwatch.Interface, then func()) apiwatch.Interface {
	events := make(chan apiwatch.Event)
	passed := apiwatch.NewProxyWatcher(events)
	go func() { // until either side ends the watch
		defer close(events)
		defer w.Stop()
		for {
			select {
			case <-passed.StopChan():
				return
			case event, ok := <-w.ResultChan():
				if !ok {
					return
				}
				select {
				case <-passed.StopChan():
					return
				case events <- event:
				}
				if endsInitialEvents(event) {
					then()
				}
			}
		}
	}()
	return passed
}

func endsInitialEvents(event apiwatch.Event) bool {
	if event.Type != apiwatch.Bookmark {
		return false
	}
	o, err := meta.Accessor(event.Object)
	return err == nil && o.GetAnnotations()[metav1.InitialEventsAnnotationKey] == "true"
}
