# prober.sh WRITABLE TOLD LAUNCH PROBER PROBE HOW WHEN [NAME=VALUE...]
# Has LAUNCH, a script for sh, run the prober in place of a service. It finds the prober's path in PROBER, and in
# ARGUMENTS what the prober is told: what TOLD has of the service before what the attack says of a stand-in for it,
# for of two values of one name the prober takes the first.
set -u
writable=$1 launch=$3 PROBER=$4
ARGUMENTS="$5 $6 $7 $(tr '\n' ' ' <"$2")"
shift 7
ARGUMENTS="$ARGUMENTS$*"
export PROBER ARGUMENTS
attack=${PROBER%/bin/prober}

# The attack's own socket, in a place that the service writes to: as a neighbour's would be.
ln -f "$attack/place/socket" "$writable/.gaoler-attack" 2>/dev/null
sh "$launch"
code=$?
rm -f "$writable/.gaoler-attack"
# What it has left for the host's tools is where the attack looks for it.
for name in .gaoler-pid ..gaoler-pid.gaoler .gaoler-log .gaoler-link; do
    if [ -e "$writable/$name" ] || [ -L "$writable/$name" ]; then
        mv -T -- "$writable/$name" "$attack/place/$name"
    fi
done
rm -rf "$writable"/.gaoler-*
exit $code
