/**
 * The schemas of the replicated kinds, written by scripts/schemas.ts from Argo CD's CustomResourceDefinitions. A line is a schema: its
 * type, its fields with the line of each (`[]` items, `*` any other field), the fields that are required (`!`), and for a text its
 * words (`=`), its length (`>=`, `<=`) and its pattern (`~`).
 */

/** The line of each kind, from 0. */
export const ROOTS: readonly (readonly [kind: string, line: number])[] = [
  ["Application", 71],
  ["ApplicationSet", 137],
  ["AppProject", 168],
  ["ConfigMap", 169],
  ["Secret", 170],
];

export const LINES = `
string
object name:0 value:0 !name !value
array []:1
boolean
object automated:3 username:0
integer
object duration:0 factor:5 maxDuration:0
object backoff:6 limit:5 refresh:3
array []:0
object group:0 kind:0 name:0 namespace:0 !kind !name
array []:9
object code:3 name:0 value:0 !name !value
array []:11
object extVars:12 libs:8 tlas:12
object disableExtensionFilter:3 exclude:0 include:0 jsonnet:13 recurse:3
object name:0 path:0
array []:15
object forceString:3 name:0 value:0
array []:17
object
object apiVersions:8 fileParameters:16 ignoreMissingValueFiles:3 kubeVersion:0 namespace:0 parameters:18 passCredentials:3 releaseName:0 skipCrds:3 skipSchemaValidation:3 skipTests:3 valueFiles:8 values:0 valuesObject:19 version:0
object *:0
object *:3
object annotationSelector:0 group:0 kind:0 labelSelector:0 name:0 namespace:0 version:0
object options:22 patch:0 path:0 target:23
array []:24
int-or-string
object count:26 name:0 !count !name
array []:27
object apiVersions:8 commonAnnotations:21 commonAnnotationsEnvsubst:3 commonLabels:21 components:8 forceCommonAnnotations:3 forceCommonLabels:3 ignoreMissingComponents:3 images:8 kubeVersion:0 labelIncludeTemplates:3 labelWithoutSelector:3 namePrefix:0 nameSuffix:0 namespace:0 patches:25 replicas:28 version:0
object array:8 map:21 name:0 string:0
array []:30
object env:2 name:0 parameters:31
object chart:0 directory:14 helm:20 kustomize:29 name:0 path:0 plugin:32 ref:0 repoURL:0 tagPrefix:0 targetRevision:0 !repoURL
array []:33
object force:3
object apply:35 hook:35
object autoHealAttemptsCount:5 dryRun:3 manifests:8 prune:3 resources:10 revision:0 revisions:8 source:33 sources:34 syncOptions:8 syncStrategy:36
object info:2 initiatedBy:4 retry:7 sync:37
object name:0 namespace:0 server:0
object group:0 jqPathExpressions:8 jsonPointers:8 kind:0 managedFieldsManagers:8 name:0 namespace:0 !kind
array []:40
object directory:14 helm:20 kustomize:29 path:0 plugin:32 repoURL:0 targetRevision:0 !path !repoURL !targetRevision
object targetBranch:0 !targetBranch
string >=1 ~^.{2,}|[^./]$
object path:44 repoURL:0 targetBranch:0 !path !targetBranch
object drySource:42 hydrateTo:43 syncSource:45 !drySource !syncSource
object allowEmpty:3 enabled:3 prune:3 selfHeal:3
object annotations:21 labels:21
object automated:47 managedNamespaceMetadata:48 retry:7 syncOptions:8
object destination:39 ignoreDifferences:41 info:2 project:0 revisionHistoryLimit:5 source:33 sourceHydrator:46 sources:34 syncPolicy:49 !destination !project
date-time
object lastTransitionTime:51 message:0 type:0 !message !type
array []:52
object lastTransitionTime:51 message:0 status:0
object deployStartedAt:51 deployedAt:51 id:5 initiatedBy:4 revision:0 revisions:8 source:33 sources:34 !deployedAt !id
array []:55
object group:0 hookPhase:0 hookType:0 images:8 kind:0 message:0 name:0 namespace:0 status:0 syncPhase:0 version:0 !group !kind !name !namespace !version
array []:57
object managedNamespaceMetadata:48 resources:58 revision:0 revisions:8 source:33 sources:34 !revision
object finishedAt:51 message:0 operation:38 phase:0 retryCount:5 startedAt:51 syncResult:59 !operation !phase !startedAt
object group:0 health:54 hook:3 kind:0 name:0 namespace:0 requiresDeletionConfirmation:3 requiresPruning:3 status:0 syncWave:5 version:0
array []:61
string =Hydrating|Failed|Hydrated
object drySHA:0 finishedAt:51 hydratedSHA:0 message:0 phase:63 sourceHydrator:46 startedAt:51 !message !phase
object drySHA:0 hydratedSHA:0 sourceHydrator:46
object currentOperation:64 lastComparedDryRevision:0 lastSuccessfulOperation:65
object externalURLs:8 images:8 isAppOfApps:3
object destination:39 ignoreDifferences:41 source:33 sources:34 !destination
object comparedTo:68 revision:0 revisions:8 status:0 !status
object conditions:53 controllerNamespace:0 health:54 history:56 observedAt:51 operationState:60 reconciledAt:51 resourceHealthSource:0 resources:62 sourceHydrator:66 sourceType:0 sourceTypes:8 summary:67 sync:69
object operation:38 spec:50 status:70 !spec
object key:0 operator:0 values:8 !key !operator
array []:72
object matchExpressions:73 matchLabels:21
object annotations:21 finalizers:8 labels:21 name:0 namespace:0
object metadata:75 spec:50 !metadata !spec
object configMapRef:0 labelSelector:74 name:0 requeueAfterSeconds:5 template:76 values:21 !configMapRef
object flatList:3 selector:74 template:76 values:21
object exclude:3 path:0 !path
array []:79
object directories:80 files:80 pathParamPrefix:0 repoURL:0 requeueAfterSeconds:5 revision:0 template:76 values:21 !repoURL !revision
any
array []:82
object elements:83 elementsYaml:0 template:76
object name:0 !name
object *:82
object parameters:86
object configMapRef:85 input:87 requeueAfterSeconds:5 template:76 values:21 !configMapRef
object key:0 secretName:0 !key !secretName
object api:0 labels:8 organization:0 project:0 repo:0 tokenRef:89 !organization !project !repo
object passwordRef:89 username:0 !passwordRef !username
object tokenRef:89 !tokenRef
object api:0 basicAuth:91 bearerToken:92 owner:0 repo:0 !owner !repo
object configMapName:0 key:0 !configMapName !key
object api:0 basicAuth:91 bearerToken:92 caRef:94 insecure:3 project:0 repo:0 !api !project !repo
object branchMatch:0 targetBranchMatch:0 titleMatch:0
array []:96
object api:0 insecure:3 labels:8 owner:0 repo:0 tokenRef:89 !api !owner !repo
object api:0 appSecretName:0 labels:8 owner:0 repo:0 tokenRef:89 !owner !repo
object api:0 caRef:94 insecure:3 labels:8 project:0 pullRequestState:0 tokenRef:89 !project
object azuredevops:90 bitbucket:93 bitbucketServer:95 continueOnRepoNotFoundError:3 filters:97 gitea:98 github:99 gitlab:100 requeueAfterSeconds:5 template:76 values:21
object key:0 value:0 !key
array []:102
object allBranches:3 region:0 role:0 tagFilters:103
object accessTokenRef:89 allBranches:3 api:0 organization:0 teamProject:0 !accessTokenRef !organization !teamProject
object allBranches:3 appPasswordRef:89 owner:0 user:0 !appPasswordRef !owner !user
object allBranches:3 api:0 basicAuth:91 bearerToken:92 caRef:94 insecure:3 project:0 !api !project
object branchMatch:0 labelMatch:0 pathsDoNotExist:8 pathsExist:8 repositoryMatch:0
array []:108
object allBranches:3 api:0 excludeArchivedRepos:3 insecure:3 owner:0 tokenRef:89 !api !owner
object allBranches:3 api:0 appSecretName:0 excludeArchivedRepos:3 organization:0 tokenRef:89 !organization
object allBranches:3 api:0 caRef:94 group:0 includeArchivedRepos:3 includeSharedProjects:3 includeSubgroups:3 insecure:3 tokenRef:89 topic:0 !group
object awsCodeCommit:104 azureDevOps:105 bitbucket:106 bitbucketServer:107 cloneProtocol:0 filters:109 gitea:110 github:111 gitlab:112 requeueAfterSeconds:5 template:76 values:21
object clusterDecisionResource:77 clusters:78 git:81 list:84 matrix:82 merge:82 plugin:88 pullRequest:101 scmProvider:113 selector:74
array []:114
object generators:115 template:76 !generators
object generators:115 mergeKeys:8 template:76 !generators !mergeKeys
object clusterDecisionResource:77 clusters:78 git:81 list:84 matrix:116 merge:117 plugin:88 pullRequest:101 scmProvider:113 selector:74
array []:118
object jqPathExpressions:8 jsonPointers:8 name:0
array []:120
object annotations:8 labels:8
object key:0 operator:0 values:8
array []:123
object matchExpressions:124 maxUpdate:26
array []:125
object steps:126
object deletionOrder:0 rollingSync:127 type:0
string =create-only|create-update|create-delete|sync
object applicationsSync:129 preserveResourcesOnDeletion:3
object applyNestedSelectors:3 generators:119 goTemplate:3 goTemplateOptions:8 ignoreApplicationDifferences:121 preservedFields:122 strategy:128 syncPolicy:130 template:76 templatePatch:0 !generators !template
object application:0 lastTransitionTime:51 message:0 status:0 step:0 targetRevisions:8 !application !message !status !step !targetRevisions
array []:132
object lastTransitionTime:51 message:0 reason:0 status:0 type:0 !message !reason !status !type
array []:134
object applicationStatus:133 conditions:135 health:54 resources:62 resourcesCount:5
object spec:131 status:136 !spec
object group:0 kind:0 name:0 !group !kind
array []:138
string <=255
object defaultServiceAccount:0 namespace:0 server:0 !defaultServiceAccount !server
array []:141
array []:39
object group:0 kind:0 !group !kind
array []:144
object group:0 kind:0 name:0
array []:146
object ignore:147 warn:3
object exp:5 iat:5 id:0 !iat
array []:149
object description:0 groups:8 jwtTokens:150 name:0 policies:8 !name
array []:151
object keyID:0 !keyID
array []:153
object keys:8 mode:0 !keys !mode
object url:0 !url
array []:156
object gpg:155 repos:157 !gpg !repos
array []:158
object policies:159 !policies
object git:160 !git
object andOperator:3 applications:8 clusters:8 description:0 duration:0 kind:0 manualSync:3 namespaces:8 schedule:0 syncOverrun:3 timeZone:0
array []:162
object clusterResourceBlacklist:139 clusterResourceWhitelist:139 description:140 destinationServiceAccounts:142 destinations:143 namespaceResourceBlacklist:145 namespaceResourceWhitelist:145 orphanedResources:148 permitOnlyProjectScopedClusters:3 roles:152 signatureKeys:154 sourceIntegrity:161 sourceNamespaces:8 sourceRepos:8 syncWindows:163
object items:150
object *:165
object jwtTokensByRole:166
object spec:164 status:167 !spec
object binaryData:21 data:21 immutable:3
object data:21 immutable:3 stringData:21 type:0
`;
