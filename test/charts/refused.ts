/** Values that a chart refuses, beside those that it needs, with what it says. */
interface Refused {
  readonly chart: 'bellwether-agent' | 'bellwether';
  readonly set: readonly string[];
  readonly says: RegExp;
}

const agent = (set: string | readonly string[], says: RegExp): Refused => ({
  chart: 'bellwether-agent',
  set: [set].flat(),
  says,
});
const manager = (set: string | readonly string[], says: RegExp): Refused => ({
  chart: 'bellwether',
  set: [set].flat(),
  says,
});

export const REFUSED: readonly Refused[] = [
  // One value, by values.schema.json.
  agent('kind=StatefulSet', /kind/),
  agent('mode=yolo', /mode/),
  agent('clusterName=Prod_1', /clusterName/),
  agent('manager.url=ftp://bellwether.example', /url/),
  agent('manager.url=https://user:word@bellwether.example', /url/),
  agent('manager.url=https://bellwether.example/path', /url/),
  agent('manager.caCertificates=hello', /caCertificates/),
  agent('token.value=short', /value/),
  agent('image.digest=sha256:12', /digest/),
  agent('image.pullPolicy=Sometimes', /pullPolicy/),
  agent('replicas=-1', /replicas/),
  agent('replicas=2.5', /replicas/),
  agent('timing.lookSeconds=0', /lookSeconds/),
  agent('timing.manyGoneSeconds=0', /manyGoneSeconds/),
  agent('health.port=80', /port/),
  agent('resources.limits.memory=much', /memory/),
  agent('priorityClass.value=2000000000', /value/),
  agent('updateStrategy.type=OnDelete', /updateStrategy/),
  agent(['kind=DaemonSet', 'updateStrategy.type=Recreate'], /updateStrategy/),
  agent('networkPolicy.managerCidrs={10.0.0.1}', /managerCidrs/),
  agent('proxy.noProxy=10.0.0.0/8', /noProxy/),
  agent('nodeLabels.zone=Not A Label', /nodeLabels/),
  agent('gitops.format=jsonnet', /format/),
  agent('admission.timeoutSeconds=31', /timeoutSeconds/),
  agent('admission.failurePolicy=Maybe', /failurePolicy/),
  agent('agent.stateDir=var/lib', /stateDir/),
  agent('agent.installRoots={/opt/a b}', /installRoots/),
  agent('imagePullSecret.create=true', /registry/),
  agent('modee=signal', /modee/),
  agent('manager.address=https://bellwether.example', /address/),
  manager('metrics.serviceMonitor.interval=often', /interval/),
  // Several together.
  agent('manager.url=', /manager\.url is needed/),
  agent('manager.url=http://bellwether.example', /must be https/),
  agent('clusterName=', /clusterName is needed/),
  agent('token.existingSecret=', /cluster token is needed/),
  agent('token.value=bwc_0123456789abcdef', /cluster token is given twice/),
  agent('policy.toml=', /policy is needed/),
  agent('policy.existingConfigMap=mine', /policy is given twice/),
  agent(['manager.existingCaSecret=a', 'manager.existingCaConfigMap=b'], /authority .* twice/),
  agent(['proxy.https=http://p:1', 'proxy.existingSecret=p'], /proxy is given twice/),
  agent(['priorityClass.create=true', 'priorityClass.name=system-x'], /belong to Kubernetes/),
  agent('mode=gitops', /nobody would find/),
  agent(['kind=DaemonSet', 'admission.enabled=true'], /needs kind: Deployment/),

  manager('publicUrl=bellwether.example', /publicUrl/),
  manager('logLevel=loud', /logLevel/),
  manager('drainMs=-1', /drainMs/),
  manager('database.url=mysql://bellwether@db/x', /database/),
  manager('database.url=postgres://bellwether:word@db/x', /database/),
  manager('redis.url=redis://:word@redis', /redis/),
  manager('settings.BELLWETHER_MASTER_KEY=x', /settings|MASTER_KEY/),
  manager('settings.DATABASE_URL=x', /settings|DATABASE_URL/),
  manager('settings.BELLWETHER_DOWNLOADS_MAX=16', /DOWNLOADS_MAX/),
  manager('trustedProxies={proxy.example}', /trustedProxies/),
  manager('persistence.size=big', /size/),
  manager('persistence.accessModes={ReadOnlyMany}', /accessModes/),
  manager('service.type=ExternalName', /type/),
  manager('openshift.route.termination=none', /termination/),
  manager('updateStrategy.type=Recreate', /updateStrategy/),
  manager('pubicUrl=https://bellwether.example', /pubicUrl/),
  manager('publicUrl=', /publicUrl is needed/),
  manager('replicas=2', /need database\.url, redis\.url, masterKey\.existingSecret, persistence/),
  manager('database.passwordSecret.name=x', /database\.url is needed/),
  manager('s3.bucket=artifacts', /s3\.endpoint is needed/),
  manager('drainMs=60000', /terminationGracePeriodSeconds has to be 70/),
  manager(['openshift.route.enabled=true', 'tls.existingSecret=x'], /passthrough or reencrypt/),
  manager(
    ['openshift.route.enabled=true', 'openshift.route.termination=reencrypt'],
    /has to speak TLS/,
  ),
  manager('metrics.serviceMonitor.enabled=true', /needs metrics\.enabled/),
];
