/* A file driver for HDF5 files that are written: one that survives a full disk. Private to h5.c. */
#ifndef JOB_H5_DISK_IMPL_H
#define JOB_H5_DISK_IMPL_H

#include <hdf5.h>
#include <stdbool.h>

/* Register the driver; unregister with H5FDunregister(), an open file keeps its own reference. */
hid_t job_h5_disk_register(void);

/* errno of the file that this thread opened or closed last through the driver; 0: all went well. */
int job_h5_disk_error(bool clear);

/* errno of the first failed write to the file that an object is in; 0 where there was none. */
int job_h5_disk_failure(hid_t object);

#endif
