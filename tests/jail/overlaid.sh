# Runs a command in a copy of the root directory, so that nothing that it does to one reaches the host.
set -eu
place=/run/overlaid
mkdir -p "$place"
mount -t tmpfs tmpfs "$place"
mkdir "$place/upper" "$place/work" "$place/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$place/upper,workdir=$place/work,redirect_dir=on" "$place/root"
for directory in etc var srv opt dev proc sys; do
	mount --rbind "/$directory" "$place/root/$directory"
done
mount -t tmpfs -o mode=755 tmpfs "$place/root/run"
cp -a /run/named "$place/root/run/"
cd "$place/root"
mkdir old
pivot_root . old
umount -l /old
rmdir /old
"$@"
exit $?
