package projection

// #include <projection.h>
import "C"

// WithLists makes a copy of the model with its heads or training questions in lists, so that
// the nearest of many are found without comparing a query with each: at least 99% of them, for
// queries that are held out. [Model.SaveFile] keeps the lists. Where lists cannot do that, below
// 16,384 heads or questions, and where all heads take part anyway, the copy is as the model.
// Up to threads threads work; 0 stands for one. Each of the two models is closed on its own.
func (m *Model) WithLists(threads int) (*Model, error) {
	if err := checkThreads(threads); err != nil {
		return nil, err
	}
	model, err := m.acquire()
	if err != nil {
		return nil, err
	}
	defer m.handle.release()
	var copied *C.projection_model
	var failed *C.projection_error
	status := C.projection_model_with_lists(model, C.size_t(threads), &copied, &failed)
	if status != C.PROJECTION_STATUS_OK {
		return nil, failure(status, failed)
	}
	return newModel(copied)
}

// Lists is what was found out when the model's lists were made. Of a model without lists, whose
// nearest heads or questions are found exactly, it is one list, all of which is read.
func (m *Model) Lists() (Lists, error) {
	model, err := m.acquire()
	if err != nil {
		return Lists{}, err
	}
	defer m.handle.release()
	var found C.projection_lists
	var failed *C.projection_error
	status := C.projection_model_lists(model, &found, &failed)
	if status != C.PROJECTION_STATUS_OK {
		return Lists{}, failure(status, failed)
	}
	return newLists(found), nil
}

// KeepLists makes lists as [Model.WithLists] does, of projection id of the store whose database
// is the file database, and keeps them in a file beside the projection's others: whoever opens
// it afterwards has them, and what does not know them does as before. Where there are no lists
// worth making, none are kept.
//
// Lists that are damaged, or of other vectors than the projection has later, are not used: make
// them anew then. [CheckLists] says so.
func KeepLists(database string, id int64, threads int) (Lists, error) {
	if err := checkThreads(threads); err != nil {
		return Lists{}, err
	}
	path, err := text("database", database)
	if err != nil {
		return Lists{}, err
	}
	var found C.projection_lists
	var failed *C.projection_error
	status := C.projection_model_keep_lists(chars(path), C.int64_t(id), C.size_t(threads), &found, &failed)
	if status != C.PROJECTION_STATUS_OK {
		return Lists{}, failure(status, failed)
	}
	return newLists(found), nil
}

// CheckLists is what was found out when the lists were made that are kept for projection id of
// the store; one list that is read as a whole where none are kept.
//
// It fails with ErrInvalidModel, and says why, where they are damaged or of other vectors than
// the projection has: it opens without them.
func CheckLists(database string, id int64) (Lists, error) {
	path, err := text("database", database)
	if err != nil {
		return Lists{}, err
	}
	var found C.projection_lists
	var failed *C.projection_error
	status := C.projection_model_check_lists(chars(path), C.int64_t(id), &found, &failed)
	if status != C.PROJECTION_STATUS_OK {
		return Lists{}, failure(status, failed)
	}
	return newLists(found), nil
}

func checkThreads(threads int) error {
	if threads < 0 {
		return errorf(ErrInvalidArgument, "threads is %d, expected 0 or more", threads)
	}
	return nil
}
