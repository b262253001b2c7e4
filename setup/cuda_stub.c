/* Stands in for the driver's libcuda.so where a program is linked on a machine without a driver.
   It is never run: the dynamic linker takes the driver's own libcuda.so.1 where the program starts. */
int cuCtxGetDevice(void) { return 0; }
int cuCtxPushCurrent_v2(void) { return 0; }
int cuStreamGetCtx(void) { return 0; }
